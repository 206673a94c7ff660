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
  (1, 'Movies demo', 'Solr 9.7', 'Ada', 'NDCG@10', 0.62),
  (2, 'Web shop', 'Elasticsearch 8.15', 'Grace', 'AP@10', 0.71),
  (3, 'Recipes', 'OpenSearch 2.17', 'Barbara', 'P@10', 0.54),
  (4, 'Library catalogue', 'Solr 9.7', 'Radia', 'DCG@10', 0.48);

INSERT INTO queries (search_case_id, text, score) VALUES
  (1, 'star wars', 0.91),
  (1, 'rambo', 0.55),
  (1, 'films about dogs', 0.40),
  (2, 'running shoes', 0.83),
  (2, 'usb c cable', 0.76),
  (2, 'gift for dad', 0.31),
  (3, 'vegan lasagne', 0.70),
  (3, 'quick dinner', 0.44),
  (4, 'war and peace', 0.88),
  (4, 'books like dune', 0.22);
