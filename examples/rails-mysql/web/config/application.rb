# Compiled Ruby is kept in the image: a container that starts for the first time parses nothing.
require "bootsnap"
Bootsnap.setup(cache_dir: File.expand_path("../tmp/cache", __dir__), development_mode: false,
               load_path_cache: false, compile_cache_json: false, compile_cache_yaml: false)

require "rails"
require "action_controller/railtie"
require "action_view/railtie"
require "active_record/railtie"

module Quepid
  class Application < Rails::Application
    config.load_defaults 6.1
    config.eager_load = true
    config.consider_all_requests_local = false
    config.public_file_server.enabled = true
    config.secret_key_base = ENV.fetch("SECRET_KEY_BASE") { SecureRandom.hex(64) }
    config.active_record.dump_schema_after_migration = false
    config.logger = ActiveSupport::Logger.new($stdout)
    config.log_level = :info

    # Rails refuses names it does not know. Every spelling of this version (db139cf, db139cfa, ...) is a name of
    # ours, so the domain is allowed, not the one name the stack was started under.
    if (host = ENV["REVIEW_HOST"])
      config.hosts << ".#{host.split('.', 2).last}"
    end

    config.release = config_for(:release).merge(version: ENV.fetch("GIT_SHA", "unknown"))
  end
end
