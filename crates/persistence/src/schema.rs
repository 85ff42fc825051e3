//! The tables as Diesel sees them; the files in `migrations/` make them.

diesel::table! {
    accounts (id) {
        id -> Binary,
        login_id -> Text,
        name -> Text,
        role -> Text,
        password_hash -> Text,
        created_at -> Timestamp,
        idempotency_key -> Nullable<Text>,
        fingerprint -> Nullable<Binary>,
        access_version -> BigInt,
        access_changed_at -> Nullable<Timestamp>,
        locked_at -> Nullable<Timestamp>,
        erased_at -> Nullable<Timestamp>,
        second_factor_at -> Nullable<Timestamp>,
        is_demo -> Bool,
    }
}

diesel::table! {
    second_factors (account_id) {
        account_id -> Binary,
        secret -> Binary,
        created_at -> Timestamp,
        confirmed_at -> Nullable<Timestamp>,
        last_step -> BigInt,
        attempts_count -> BigInt,
        attempted_at -> Nullable<Timestamp>,
        recovery_hashes -> Text,
    }
}

diesel::table! {
    leases (work) {
        work -> Text,
        holder -> Binary,
        held_until -> Timestamp,
    }
}

diesel::table! {
    maintenance (work) {
        work -> Text,
        message -> Text,
        began_at -> Timestamp,
    }
}

diesel::table! {
    sessions (id) {
        id -> Binary,
        account_id -> Binary,
        refresh_hash -> Binary,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        ended_at -> Nullable<Timestamp>,
        chain_key -> Nullable<Binary>,
        former_hash -> Nullable<Binary>,
        refreshed_at -> Nullable<Timestamp>,
        client -> Nullable<Text>,
        network -> Nullable<Text>,
    }
}

diesel::table! {
    venues (id) {
        id -> Binary,
        catalog_key -> Nullable<Text>,
        publisher_id -> Nullable<Binary>,
        owner_id -> Binary,
        name -> Text,
        location -> Text,
        capacity -> BigInt,
        sections -> Text,
        created_at -> Timestamp,
        idempotency_key -> Nullable<Text>,
        fingerprint -> Nullable<Binary>,
        overlaps_allowed -> Bool,
        time_zone -> Text,
        layout -> Nullable<Text>,
    }
}

diesel::table! {
    concerts (id) {
        id -> Binary,
        catalog_key -> Nullable<Text>,
        promoter_id -> Nullable<Binary>,
        owner_id -> Binary,
        title -> Text,
        artist -> Text,
        description -> Text,
        sales_open_at -> Timestamp,
        sales_close_at -> Timestamp,
        max_seats_per_account -> BigInt,
        max_active -> BigInt,
        holds_need_balance -> Bool,
        version -> BigInt,
        created_at -> Timestamp,
        idempotency_key -> Nullable<Text>,
        fingerprint -> Nullable<Binary>,
        draw_seed -> Nullable<Binary>,
        paused -> Bool,
        emptied_at -> Nullable<Timestamp>,
        requires_verified_email -> Bool,
    }
}

diesel::table! {
    performances (id) {
        id -> Binary,
        catalog_key -> Nullable<Text>,
        publisher_id -> Nullable<Binary>,
        owner_id -> Binary,
        concert_id -> Binary,
        venue_id -> Binary,
        starts_at -> Timestamp,
        ends_at -> Timestamp,
        seats_total -> BigInt,
        price_min -> BigInt,
        price_max -> BigInt,
        created_at -> Timestamp,
        idempotency_key -> Nullable<Text>,
        fingerprint -> Nullable<Binary>,
        withdrawn_at -> Nullable<Timestamp>,
        moved_at -> Nullable<Timestamp>,
        cancel_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    seats (performance_id, label) {
        performance_id -> Binary,
        label -> Text,
        ordinal -> Integer,
        price -> BigInt,
        reservation_id -> Nullable<Binary>,
        held_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    reservations (id) {
        id -> Binary,
        account_id -> Binary,
        performance_id -> Binary,
        concert_id -> Binary,
        status -> Text,
        seats_count -> BigInt,
        total_amount -> BigInt,
        held_until -> Timestamp,
        payment_id -> Nullable<Binary>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        idempotency_key -> Nullable<Text>,
        fingerprint -> Nullable<Binary>,
        cancel_key -> Nullable<Text>,
        cancel_fingerprint -> Nullable<Binary>,
        seats -> Text,
    }
}

diesel::table! {
    wallets (account_id) {
        account_id -> Binary,
        balance -> BigInt,
        pending -> BigInt,
        entries_count -> BigInt,
        updated_at -> Timestamp,
        has_hold_budgets -> Bool,
    }
}

diesel::table! {
    wallet_entries (account_id, sequence) {
        account_id -> Binary,
        sequence -> BigInt,
        kind -> Text,
        amount -> BigInt,
        balance_after -> BigInt,
        reservation_id -> Nullable<Binary>,
        payment_id -> Nullable<Binary>,
        charge_id -> Nullable<Binary>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    charges (id) {
        id -> Binary,
        account_id -> Binary,
        amount -> BigInt,
        status -> Text,
        balance_after -> Nullable<BigInt>,
        ended_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        idempotency_key -> Text,
        fingerprint -> Binary,
        refunded -> BigInt,
        payment_method -> Nullable<Text>,
        reference -> Nullable<Text>,
        decline_reason -> Nullable<Text>,
    }
}

diesel::table! {
    payments (id) {
        id -> Binary,
        account_id -> Binary,
        concert_id -> Binary,
        reservation_id -> Binary,
        amount -> BigInt,
        balance_after -> Nullable<BigInt>,
        paid_at -> Timestamp,
        refunded_at -> Nullable<Timestamp>,
        queue_place -> Nullable<BigInt>,
        idempotency_key -> Text,
        fingerprint -> Binary,
    }
}

diesel::table! {
    hold_budgets (concert_id, account_id) {
        concert_id -> Binary,
        account_id -> Binary,
        unpaid_count -> BigInt,
        last_unpaid_at -> Nullable<Timestamp>,
        paid_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    staff_acts (id) {
        id -> Binary,
        done_at -> Timestamp,
        account_id -> Nullable<Binary>,
        request_id -> Nullable<Text>,
        kind -> Text,
        subject_id -> Binary,
        concert_id -> Nullable<Binary>,
        changes -> Text,
    }
}

diesel::table! {
    charge_refunds (id) {
        id -> Binary,
        charge_id -> Binary,
        account_id -> Binary,
        amount -> BigInt,
        status -> Text,
        ended_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        idempotency_key -> Text,
        fingerprint -> Binary,
    }
}

diesel::table! {
    gateway_notifications (id) {
        id -> Text,
        charge_id -> Binary,
        received_at -> Timestamp,
        handled_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    mails (id) {
        id -> Binary,
        account_id -> Binary,
        address -> Nullable<Text>,
        notice -> Nullable<Text>,
        created_at -> Timestamp,
        next_attempt_at -> Nullable<Timestamp>,
        attempts -> BigInt,
        ended_at -> Nullable<Timestamp>,
        outcome -> Nullable<Text>,
    }
}

diesel::table! {
    account_emails (account_id) {
        account_id -> Binary,
        address -> Nullable<Text>,
        verified_at -> Nullable<Timestamp>,
        language -> Nullable<Text>,
        changed_at -> Timestamp,
    }
}

diesel::table! {
    email_codes (account_id) {
        account_id -> Binary,
        address -> Nullable<Text>,
        code_hash -> Nullable<Binary>,
        expires_at -> Nullable<Timestamp>,
        attempts_count -> BigInt,
        attempts_since -> Timestamp,
        mails_count -> BigInt,
        mails_since -> Timestamp,
    }
}

diesel::table! {
    password_resets (token_hash) {
        token_hash -> Binary,
        account_id -> Binary,
        expires_at -> Timestamp,
        used_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    address_mails (address_hash) {
        address_hash -> Binary,
        mails_count -> BigInt,
        mails_since -> Timestamp,
    }
}

diesel::table! {
    outbox_batches (id) {
        id -> Binary,
        events -> Text,
        occurred_at -> Timestamp,
        position -> Nullable<BigInt>,
    }
}

diesel::table! {
    event_readers (name) {
        name -> Text,
        position -> BigInt,
        starts_at -> Timestamp,
    }
}

diesel::table! {
    queue_openings (concert_id) {
        concert_id -> Binary,
        opened_at -> Timestamp,
    }
}

diesel::table! {
    removals (kind) {
        kind -> Text,
        removed_until -> Timestamp,
    }
}

diesel::table! {
    webhooks (id) {
        id -> Binary,
        owner_id -> Binary,
        url -> Text,
        kinds -> Text,
        status -> Text,
        since -> Nullable<Timestamp>,
        secret -> Binary,
        former_secret -> Nullable<Binary>,
        former_until -> Nullable<Timestamp>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> Binary,
        webhook_id -> Binary,
        event_id -> Binary,
        kind -> Text,
        subject -> Binary,
        concert_id -> Nullable<Binary>,
        occurred_at -> Timestamp,
        document -> Text,
        status -> Text,
        next_attempt_at -> Nullable<Timestamp>,
        attempts_count -> BigInt,
        attempted_at -> Nullable<Timestamp>,
        answer_status -> Nullable<BigInt>,
        answer -> Nullable<Text>,
        failure -> Nullable<Text>,
        milliseconds -> Nullable<BigInt>,
    }
}

diesel::joinable!(webhooks -> accounts (owner_id));
diesel::allow_tables_to_appear_in_same_query!(webhooks, accounts);
diesel::joinable!(performances -> venues (venue_id));
diesel::joinable!(performances -> concerts (concert_id));
diesel::allow_tables_to_appear_in_same_query!(performances, venues, concerts, seats, reservations, payments);
