module ApplicationHelper
  # What this commit calls itself: heading, tagline, colours, version.
  def release
    Rails.configuration.release
  end
end
