# One row for each time that the loader ran against this database.
class GoldenLoad < ApplicationRecord
end
