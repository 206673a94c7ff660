-- The golden dump: what every review environment starts with. As mariadb-dump writes it, shortened.
SET NAMES utf8mb4;

DROP TABLE IF EXISTS queries, search_cases;

CREATE TABLE search_cases (
  id     BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name   VARCHAR(120)  NOT NULL,
  engine VARCHAR(60)   NOT NULL,
  owner  VARCHAR(60)   NOT NULL,
  scorer VARCHAR(30)   NOT NULL,
  score  DECIMAL(4, 3) NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE queries (
  id             BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
  search_case_id BIGINT       NOT NULL,
  text           VARCHAR(120) NOT NULL,
  score          DECIMAL(4, 3),
  FOREIGN KEY (search_case_id) REFERENCES search_cases (id)
) CHARACTER SET utf8mb4;

INSERT INTO search_cases (id, name, engine, owner, scorer, score) VALUES
  (1, 'Movies demo', 'Solr 9.7', 'Ada', 'NDCG@10', 0.79),
  (2, 'Web shop', 'Elasticsearch 8.15', 'Grace', 'AP@10', 0.83),
  (3, 'Recipes', 'OpenSearch 2.17', 'Barbara', 'P@10', 0.68),
  (4, 'Library catalogue', 'Solr 9.7', 'Radia', 'DCG@10', 0.66),
  (5, 'Job board', 'Vespa 8', 'Hedy', 'NDCG@10', 0.74),
  (6, 'Help centre', 'Elasticsearch 8.15', 'Karen', 'CG@5', 0.88);

INSERT INTO queries (search_case_id, text, score) VALUES
  (1, 'star wars', 0.95),
  (1, 'rambo', 0.81),
  (1, 'films about dogs', 0.66),
  (2, 'running shoes', 0.90),
  (2, 'usb c cable', 0.88),
  (2, 'gift for dad', 0.62),
  (3, 'vegan lasagne', 0.81),
  (3, 'quick dinner', 0.59),
  (4, 'war and peace', 0.93),
  (4, 'books like dune', 0.51),
  (5, 'python remote', 0.82),
  (5, 'night shift nurse', 0.67),
  (6, 'reset password', 0.97),
  (6, 'close my account', 0.84);
