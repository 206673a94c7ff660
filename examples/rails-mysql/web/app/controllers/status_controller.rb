class StatusController < ApplicationController
  # The health path: 200 once the application and its database answer.
  def up
    SearchCase.connection.execute("SELECT 1")
    render plain: "up\n"
  end

  def version
    render json: { version: Rails.configuration.release[:version],
                   host: request.host_with_port,
                   cases: SearchCase.count,
                   queries: Query.count,
                   golden_loads: GoldenLoad.count }
  end
end
