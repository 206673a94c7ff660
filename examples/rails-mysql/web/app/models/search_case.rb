# A set of queries that a search team tunes together.
class SearchCase < ApplicationRecord
  has_many :queries, -> { order(:id) }, inverse_of: :search_case
end
