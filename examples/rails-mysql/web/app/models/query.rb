class Query < ApplicationRecord
  belongs_to :search_case
  validates :text, presence: true, length: { maximum: 120 }
end
