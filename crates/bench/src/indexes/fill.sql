-- A database of the size at which an index matters, for MySQL. The id of a row is the hash of its kind and number, so
-- that rows can name each other. Set before: @accounts, @concerts, @busy_account, @busy_concert, @busy_performance,
-- @busy_label. There is a table `numbers` of whole numbers `n`.

SET @paid_each = 3, @reservations_each = 10, @busy = 2000, @price = 1000, @charge = 100000;
SET @now = UTC_TIMESTAMP(6), @hash = UNHEX(REPEAT('01', 16));

CREATE FUNCTION id_of(kind VARCHAR(20), number VARCHAR(20)) RETURNS BINARY(16) DETERMINISTIC
  RETURN UNHEX(LEFT(SHA2(CONCAT(kind, '-', number), 256), 32));

-- The seats that are sold, by a number, from as many performances as that takes.
CREATE TABLE sold (number INT PRIMARY KEY, performance_id BINARY(16), concert_id BINARY(16), label VARCHAR(100),
    UNIQUE (performance_id, label));
INSERT INTO sold SELECT number, performance_id, concert_id, label FROM (
    SELECT ROW_NUMBER() OVER (ORDER BY performance_id, ordinal) - 1 AS number, performance_id, concert_id, label
    FROM seats JOIN performances ON performances.id = performance_id WHERE concert_id <> @busy_concert) AS numbered
  WHERE number < @accounts * @paid_each;

-- The first buyer has a long history: it has paid, cancelled and got back very many reservations. It comes before all
-- others, so that its newest rows and the newest of all lie far apart.
INSERT INTO charges (id, account_id, amount, status, balance_after, ended_at, created_at, idempotency_key, fingerprint)
  VALUES (id_of('charge', 'busy'), @busy_account, @charge, 'completed', @charge, @now - INTERVAL 47 HOUR,
    @now - INTERVAL 47 HOUR, 'filled-1', @hash);
INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, charge_id, created_at)
  VALUES (@busy_account, 1, 'charge', @charge, @charge, id_of('charge', 'busy'), @now - INTERVAL 47 HOUR);
INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, total_amount, held_until,
    payment_id, created_at, updated_at, seats)
  SELECT id_of('busy-reservation', n), @busy_account, @busy_performance, @busy_concert, 'cancelled', 1,
    @price, @now - INTERVAL 24 HOUR, id_of('busy-payment', n), @now - INTERVAL 25 HOUR,
    @now - INTERVAL 23 HOUR, JSON_ARRAY(JSON_OBJECT('label', @busy_label, 'price', @price))
  FROM numbers WHERE n < @busy;
INSERT INTO payments (id, account_id, concert_id, reservation_id, amount, balance_after, paid_at, refunded_at,
    queue_place, idempotency_key, fingerprint)
  SELECT id_of('busy-payment', n), @busy_account, @busy_concert,
    id_of('busy-reservation', n), @price, @charge - @price, @now - INTERVAL 24 HOUR,
    @now - INTERVAL 23 HOUR, n, CONCAT('filled-', n), @hash
  FROM numbers WHERE n < @busy;
INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, reservation_id, payment_id, created_at)
  SELECT @busy_account, 2 * queue_place + 2, 'payment', -amount, balance_after, reservation_id, id, paid_at
  FROM payments WHERE account_id = @busy_account;
INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, reservation_id, created_at)
  SELECT @busy_account, 2 * queue_place + 3, 'refund', amount, @charge, reservation_id, refunded_at
  FROM payments WHERE account_id = @busy_account;
UPDATE wallets SET balance = @charge, entries_count = 1 + 2 * @busy WHERE account_id = @busy_account;

-- Accounts with a charge, with reservations, and with payments for some of them.
INSERT INTO accounts (id, login_id, name, role, password_hash, created_at)
  SELECT id_of('account', n), CONCAT('filler-', n), 'Filler', 'customer', '$argon2id$none',
    @now - INTERVAL 48 HOUR
  FROM numbers WHERE n < @accounts;
INSERT INTO sessions (id, account_id, refresh_hash, created_at, expires_at)
  SELECT id_of('session', n), id_of('account', n), UNHEX(REPEAT('07', 32)),
    @now - INTERVAL 48 HOUR, @now + INTERVAL 480 HOUR
  FROM numbers WHERE n < @accounts;
INSERT INTO wallets (account_id, balance, pending, entries_count, updated_at)
  SELECT id_of('account', n), @charge - @price * @paid_each, 0, 1 + @paid_each,
    @now - INTERVAL 24 HOUR
  FROM numbers WHERE n < @accounts;
INSERT INTO charges (id, account_id, amount, status, balance_after, ended_at, created_at, idempotency_key, fingerprint)
  SELECT id_of('charge', n), id_of('account', n), @charge, 'completed', @charge,
    @now - INTERVAL 47 HOUR, @now - INTERVAL 47 HOUR, 'filled-1', @hash
  FROM numbers WHERE n < @accounts;
INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, charge_id, created_at)
  SELECT account_id, 1, 'charge', amount, balance_after, id, created_at
  FROM charges WHERE account_id <> @busy_account;
INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, total_amount, held_until,
    payment_id, created_at, updated_at, seats)
  SELECT id_of('reservation', CONCAT(n, '-', place)), id_of('account', n), performance_id,
    concert_id, CASE WHEN place < @paid_each THEN 'confirmed' WHEN place % 2 = 0 THEN 'cancelled' ELSE 'expired' END,
    1, @price, @now - INTERVAL 24 HOUR,
    IF(place < @paid_each, id_of('payment', CONCAT(n, '-', place)), NULL), @now - INTERVAL 25 HOUR,
    @now - INTERVAL 24 HOUR, JSON_ARRAY(JSON_OBJECT('label', label, 'price', @price))
  FROM numbers JOIN (SELECT n AS place FROM numbers WHERE n < @reservations_each) AS places
  JOIN sold ON number = n * @paid_each + place % @paid_each WHERE n < @accounts;
INSERT INTO payments (id, account_id, concert_id, reservation_id, amount, balance_after, paid_at, queue_place,
    idempotency_key, fingerprint)
  SELECT id_of('payment', CONCAT(n, '-', place)), id_of('account', n), concert_id,
    id_of('reservation', CONCAT(n, '-', place)), @price, @charge - @price * (place + 1),
    @now - INTERVAL 24 HOUR, place, CONCAT('filled-', place), @hash
  FROM numbers JOIN (SELECT n AS place FROM numbers WHERE n < @paid_each) AS places
  JOIN sold ON number = n * @paid_each + place WHERE n < @accounts;
INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, reservation_id, payment_id, created_at)
  SELECT account_id, queue_place + 2, 'payment', -amount, balance_after, reservation_id, id, paid_at
  FROM payments WHERE account_id <> @busy_account;
UPDATE sold JOIN seats USING (performance_id, label) SET seats.reservation_id =
    id_of('reservation', CONCAT(number DIV @paid_each, '-', number % @paid_each));

-- A catalog with many pages. The sales of every other concert have ended.
INSERT INTO venues (id, publisher_id, name, location, capacity, sections, created_at, idempotency_key, fingerprint)
  SELECT id_of('venue', n), id_of('account', n % 100), CONCAT('Hall ', n), 'Seoul', 10,
    '[]', @now - INTERVAL 48 HOUR, CONCAT('filled-', n), @hash
  FROM numbers WHERE n < @concerts;
INSERT INTO concerts (id, promoter_id, title, artist, description, sales_open_at, sales_close_at,
    max_seats_per_account, max_active, version, created_at, idempotency_key, fingerprint)
  SELECT id_of('concert', n), id_of('account', n % 100), CONCAT('Concert ', n),
    CONCAT('Artist ', n), '', @now - INTERVAL 48 HOUR,
    IF(n % 2 = 0, @now + INTERVAL 480 HOUR, @now - INTERVAL 24 HOUR), 4, 500, 1, @now - INTERVAL 48 HOUR,
    CONCAT('filled-', n), @hash
  FROM numbers WHERE n < @concerts;
INSERT INTO performances (id, publisher_id, concert_id, venue_id, starts_at, seats_total, price_min, price_max,
    created_at, idempotency_key, fingerprint)
  SELECT id_of('performance', CONCAT(n, '-', place)), id_of('account', n % 100),
    id_of('concert', n), id_of('venue', n), @now + INTERVAL 30 + place DAY, 0, @price,
    @price, @now - INTERVAL 48 HOUR, CONCAT('filled-', n, '-', place), @hash
  FROM numbers JOIN (SELECT n AS place FROM numbers WHERE n < 4) AS places WHERE n < @concerts;

-- The events of all charges and reservations, in batches of 128 or so.
SET @batches = (SELECT (2 * (SELECT COUNT(*) FROM charges) + 2 * (SELECT COUNT(*) FROM reservations)) DIV 128 + 1);
INSERT INTO outbox_batches (id, events, occurred_at)
  SELECT id_of('batch', CRC32(id) % @batches), JSON_ARRAYAGG(event), @now - INTERVAL 24 HOUR FROM (
    SELECT id, JSON_OBJECT('kind', 'charge_requested', 'charge_id', HEX(id)) AS event FROM charges
    UNION ALL SELECT id, JSON_OBJECT('kind', 'charge_completed', 'charge_id', HEX(id)) FROM charges
    UNION ALL SELECT id, JSON_OBJECT('kind', 'reservation_held', 'reservation_id', HEX(id)) FROM reservations
    UNION ALL SELECT id, JSON_OBJECT('kind', CONCAT('reservation_', status), 'reservation_id', HEX(id))
      FROM reservations) AS events
  GROUP BY CRC32(id) % @batches;

DROP TABLE numbers;
DROP TABLE sold;
DROP FUNCTION id_of;
