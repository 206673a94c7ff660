class CasesController < ApplicationController
  def index
    @cases = SearchCase.includes(:queries).order(score: :desc)
  end

  def show
    @case = SearchCase.find(params[:id])
    @query = @case.queries.build
  end
end
