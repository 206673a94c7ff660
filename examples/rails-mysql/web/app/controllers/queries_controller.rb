class QueriesController < ApplicationController
  def create
    search_case = SearchCase.find(params[:case_id])
    search_case.queries.create(params.require(:query).permit(:text))
    redirect_to case_path(search_case)
  end
end
