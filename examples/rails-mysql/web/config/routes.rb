Rails.application.routes.draw do
  root "cases#index"
  resources :cases, only: [:index, :show] do
    resources :queries, only: :create
  end
  get "up", to: "status#up"
  get "version", to: "status#version", defaults: { format: :json }
end
