"""Compose files as people have them, loaded whole: what a stack is made of, and which warnings its author gets."""

from __future__ import annotations

from pathlib import Path

from grandcentral.core.compose import SAMPLE
from grandcentral.core.model import Condition, Dependency, HealthCheck, Mount, MountKind

from .compose_files import problems, stack, template

ROOT = Path(__file__).resolve().parent.parent.parent

RAILS = """\
version: "3.8"

services:
  db:
    image: mysql:8.0
    command: --default-authentication-plugin=mysql_native_password
    restart: unless-stopped
    environment:
      MYSQL_ROOT_PASSWORD: ${MYSQL_ROOT_PASSWORD:-root}
      MYSQL_DATABASE: app
    volumes:
      - mysql:/var/lib/mysql
    healthcheck:
      test: ["CMD", "mysqladmin", "ping", "-h", "localhost"]
      interval: 5s
      timeout: 5s
      retries: 20
      start_period: 30s

  migrate:
    image: ${IMAGE}
    command: ["bin/rails", "db:prepare"]
    env_file: [rails.env]
    depends_on:
      db:
        condition: service_healthy

  web:
    image: ${IMAGE}
    container_name: app_web
    command: bundle exec puma -b tcp://0.0.0.0:3000
    env_file: [rails.env]
    environment:
      - RAILS_HOSTS=${HOST}
      - RAILS_MASTER_KEY
    ports:
      - "3000:3000"
    depends_on:
      db:
        condition: service_healthy
      migrate:
        condition: service_completed_successfully
    tty: true
    stdin_open: true
    tmpfs: /app/tmp/pids

volumes:
  mysql:
"""


def test_rails_with_mysql() -> None:
    files = {"/srv/app/rails.env": "RAILS_ENV=production\nDATABASE_URL=mysql2://root:${MYSQL_ROOT_PASSWORD:-root}@db/app\n"}
    found = template(RAILS, serves="web", files=files, environment={"RAILS_MASTER_KEY": "k3y"})
    assert [warning.place.split(": ")[1] for warning in found.warnings] == [
        "version",
        "services.web.container_name",
        "services.web.tty",
        "services.web.stdin_open",
    ]
    spec = found.render(SAMPLE)
    assert (spec.serves, spec.port, spec.volumes) == ("web", 3000, ("mysql",))
    assert spec.is_task("migrate")
    web = spec.service("web")
    assert web.image == SAMPLE["IMAGE"]
    assert web.command == ("bundle", "exec", "puma", "-b", "tcp://0.0.0.0:3000")
    assert web.environment["DATABASE_URL"] == "mysql2://root:root@db/app"
    assert web.environment["RAILS_MASTER_KEY"] == "k3y"
    assert web.environment["RAILS_HOSTS"] == SAMPLE["HOST"]
    assert spec.service("db").healthcheck == HealthCheck(
        ("mysqladmin", "ping", "-h", "localhost"), interval=5.0, timeout=5.0, retries=20, start_period=30.0
    )


DJANGO = """\
services:
  web: &app
    build: .
    image: registry.example.com/shop:${VERSION}
    command: gunicorn shop.wsgi --bind :8000 --workers ${WEB_CONCURRENCY:-2}
    environment: &environment
      DATABASE_URL: postgres://shop:${POSTGRES_PASSWORD:?set it in the app's environment}@db:5432/shop
      REDIS_URL: redis://redis:6379/0
      ALLOWED_HOSTS: $HOST
      DEBUG: false
    expose: [8000]
    depends_on: [db, redis]
    deploy:
      resources:
        limits: {cpus: "0.50", memory: 512M}
  worker:
    <<: *app
    command: celery -A shop worker -l info
    expose: []
    environment:
      <<: *environment
      CELERY: "yes"
  db:
    image: postgres:16
    environment: [POSTGRES_USER=shop, "POSTGRES_PASSWORD=${POSTGRES_PASSWORD}"]
    volumes: [{type: volume, source: pg, target: /var/lib/postgresql/data}]
    shm_size: 128mb
    healthcheck: {test: "pg_isready -U $${POSTGRES_USER}", interval: 10s}
  redis:
    image: redis:7-alpine
    command: ["redis-server", "--save", "", "--appendonly", "no"]
    ulimits: {nofile: {soft: 10032, hard: 10032}}
    sysctls: {}
volumes: {pg: {driver: local}}
"""


def test_django_with_postgres_and_redis() -> None:
    environment = {"POSTGRES_PASSWORD": "p$4"}
    spec = stack(DJANGO, serves="web", environment=environment)
    web, worker = spec.service("web"), spec.service("worker")
    assert web.environment["DATABASE_URL"] == "postgres://shop:p$4@db:5432/shop"
    assert web.environment["DEBUG"] == "false"
    assert web.command[-1] == "2" if web.command else False
    assert (web.cpus, web.memory) == (0.5, 512 << 20)
    assert worker.environment == {**web.environment, "CELERY": "yes"}
    assert (worker.ports, worker.depends_on) == ((), (Dependency("db"), Dependency("redis")))
    assert spec.service("db").healthcheck == HealthCheck(("/bin/sh", "-c", "pg_isready -U ${POSTGRES_USER}"), interval=10.0)
    assert spec.service("redis").command == ("redis-server", "--save", "", "--appendonly", "no")
    assert any("set it in the app's environment" in problem for problem in problems(DJANGO, serves="web"))


WORDPRESS = """\
services:
  wordpress:
    image: wordpress:6
    restart: always
    ports:
      - 8080:80
    environment:
      WORDPRESS_DB_HOST: db
      WORDPRESS_DB_USER: exampleuser
      WORDPRESS_DB_PASSWORD_FILE: /run/secrets/db_password
      WORDPRESS_CONFIG_EXTRA: |
        define('WP_HOME', '${URL}');
        define('WP_SITEURL', '${URL}');
    secrets: [db_password]
    volumes:
      - wordpress:/var/www/html
  db:
    image: mariadb:11
    restart: always
    environment:
      MARIADB_RANDOM_ROOT_PASSWORD: '1'
      MARIADB_USER: exampleuser
      MARIADB_PASSWORD_FILE: /run/secrets/db_password
    secrets:
      - source: db_password
        mode: 0440
    volumes:
      - db:/var/lib/mysql
  phpmyadmin:
    image: phpmyadmin
    profiles: [debug]
    ports: ["8081:80"]
secrets:
  db_password:
    file: ./db_password.txt
volumes:
  wordpress:
  db:
"""


def test_wordpress_with_mariadb() -> None:
    found = template(WORDPRESS, serves="wordpress", files={"/srv/app/./db_password.txt": "hush\n"})
    assert found.warnings == ()
    spec = found.render({"URL": "https://x.example"})
    assert [service.name for service in spec.services] == ["wordpress", "db"]
    assert spec.port == 80
    extra = spec.service("wordpress").environment["WORDPRESS_CONFIG_EXTRA"]
    assert extra == "define('WP_HOME', 'https://x.example');\ndefine('WP_SITEURL', 'https://x.example');\n"
    [secret] = spec.service("db").files
    assert (secret.target, secret.content, secret.mode) == ("/run/secrets/db_password", b"hush\n", 0o440)


NODE = """\
name: todo
services:
  api:
    image: ${IMAGE}
    init: true
    user: node
    working_dir: /usr/src/app
    read_only: true
    tmpfs: ["/tmp:size=64m,mode=1777"]
    stop_signal: SIGINT
    stop_grace_period: 1m
    environment: {MONGO_URL: "mongodb://mongo:27017/todo", PUBLIC_URL: "${URL}"}
    ports:
      - target: 3000
        published: "3000"
        protocol: tcp
        mode: ingress
    networks: [frontend, backend]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    logging: {driver: json-file, options: {max-size: 10m}}
    depends_on: {mongo: {condition: service_healthy, required: true}}
  mongo:
    image: mongo:7
    volumes: ["mongo:/data/db", "/data/configdb"]
    networks: {backend: {aliases: [database]}}
    healthcheck:
      test: echo 'db.runCommand("ping").ok' | mongosh localhost:27017/test --quiet
      start_interval: 1s
      start_period: 20s
networks: {frontend: , backend: {driver: bridge}}
volumes: {mongo: {name: todo_mongo}}
"""


def test_node_with_mongo() -> None:
    found = template(NODE, serves="api")
    assert [warning.place.split(": ")[1] for warning in found.warnings] == [
        "name",
        "services.api.logging",
        "volumes.mongo.name",
    ]
    spec = found.render(SAMPLE)
    assert spec.networks == ("frontend", "backend")
    api, mongo = spec.service("api"), spec.service("mongo")
    assert api.mounts == (Mount(MountKind.TMPFS, "/tmp", size=64 << 20, mode=0o1777),)
    assert (api.cap_drop, api.security_opt, api.read_only) == (("ALL",), ("no-new-privileges:true",), True)
    assert api.depends_on == (Dependency("mongo", Condition.HEALTHY),)
    assert mongo.networks == {"backend": ("database",)}
    assert mongo.mounts == (Mount(MountKind.VOLUME, "/data/db", "mongo"), Mount(MountKind.VOLUME, "/data/configdb"))


EXTENSIONS = """\
x-logging: &logging
  logging: {driver: json-file}
x-environment: &environment
  LANG: C.UTF-8
  LOG_LEVEL: ${LOG_LEVEL:-info}
x-restart: &restart {restart: unless-stopped}
x-service: &service
  <<: [*logging, *restart]
  image: ${IMAGE}
  environment: *environment
  labels: ["app=${VERSION}"]

services:
  web:
    <<: *service
    environment: {<<: *environment, ROLE: web}
    ports: ["127.0.0.1:8080:8080"]
    healthcheck: &healthcheck
      test: wget -q --spider http://localhost:8080/health || exit 1
      interval: 1m30s
    x-note: the one people see
  jobs:
    <<: *service
    environment: {<<: *environment, ROLE: jobs, LOG_LEVEL: debug}
    healthcheck: {<<: *healthcheck, test: [NONE]}
"""


def test_extension_fields_anchors_and_merges() -> None:
    spec = stack(EXTENSIONS, serves="web")
    web, jobs = spec.service("web"), spec.service("jobs")
    assert (web.image, web.restart) == (jobs.image, jobs.restart) == (SAMPLE["IMAGE"], "unless-stopped")
    assert {"LANG": "C.UTF-8", "LOG_LEVEL": "info", "ROLE": "web"}.items() <= web.environment.items()
    assert jobs.environment["LOG_LEVEL"] == "debug"
    assert web.healthcheck is not None
    assert web.healthcheck.interval == 90.0
    assert jobs.healthcheck == HealthCheck((), disabled=True)
    assert web.labels == {"app": SAMPLE["VERSION"]}


def test_the_output_of_docker_compose_config_as_json() -> None:
    text = """{"name": "x", "networks": {"default": {"name": "x_default", "ipam": {}}}, "services": {"web": {
      "command": null, "entrypoint": null, "image": "img", "networks": {"default": null},
      "environment": {"A": "1", "B": null}, "volumes": [{"type": "volume", "source": "v", "target": "/v", "volume": {}}],
      "ports": [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}]}},
      "volumes": {"v": {"name": "x_v"}}}"""
    spec = stack(text, serves="web")
    assert (spec.port, spec.networks, spec.volumes) == (80, ("default",), ("v",))


def test_the_example_of_the_project() -> None:
    found = template((ROOT / "examples" / "rails-mysql" / "compose.yaml").read_text(), serves="web")
    assert found.warnings == ()
    assert found.render(SAMPLE).is_task("loader")
