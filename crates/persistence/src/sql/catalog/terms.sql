SELECT performances.id, performances.concert_id, concerts.title, venues.id, venues.name, venues.location, venues.time_zone,
    performances.starts_at, concerts.sales_open_at, concerts.sales_close_at, concerts.max_seats_per_account,
    concerts.holds_need_balance,
    performances.withdrawn_at, performances.moved_at, performances.cancel_until
FROM performances
JOIN concerts ON concerts.id = performances.concert_id
JOIN venues ON venues.id = performances.venue_id
WHERE performances.id IN
