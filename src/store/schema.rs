//! Tables as diesel sees them. One rule: INTEGER is BigInt, except 0/1 columns, which are Bool.

diesel::table! {
    account_hot_state (account_id) {
        account_id -> Text,
        auth -> Text,
        auth_detail -> Text,
        quota -> Text,
        quota_json -> Text,
        quota_observed_at -> Nullable<BigInt>,
        health -> Text,
        last_used_at -> Nullable<BigInt>,
        last_ok_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    account_locks (account_id, scope) {
        account_id -> Text,
        scope -> Text,
        until -> BigInt,
        reason -> Text,
        class -> Text,
        level -> BigInt,
        set_at -> BigInt,
    }
}

diesel::table! {
    account_secrets (account_id) {
        account_id -> Text,
        access_token -> Nullable<Text>,
        refresh_token -> Nullable<Text>,
        id_token -> Nullable<Text>,
        api_key -> Nullable<Text>,
        extra -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        last_refresh_at -> Nullable<BigInt>,
        generation -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    accounts (id) {
        id -> Text,
        provider -> Text,
        kind -> Text,
        label -> Text,
        email -> Nullable<Text>,
        identity_key -> Nullable<Text>,
        plan -> Nullable<Text>,
        priority -> BigInt,
        weight -> BigInt,
        enabled -> Bool,
        tags -> Text,
        allowed_models -> Text,
        excluded_models -> Text,
        max_concurrent -> Nullable<BigInt>,
        proxy_mode -> Text,
        proxy_id -> Nullable<Text>,
        endpoint -> Nullable<Text>,
        params -> Text,
        tier -> Nullable<Text>,
        min_remaining_percent -> Nullable<BigInt>,
        allow_overage -> Nullable<Bool>,
        refresh_enabled -> Bool,
        ownership -> Text,
        follow_path -> Nullable<Text>,
        validation -> Nullable<Text>,
        validated_at -> Nullable<BigInt>,
        notes -> Nullable<Text>,
        source -> Nullable<Text>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    aliases (alias) {
        alias -> Text,
        target -> Text,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        lookup -> Binary,
        prefix -> Text,
        last4 -> Text,
        name -> Text,
        legacy -> Bool,
        hmac_key_version -> BigInt,
        enabled -> Bool,
        revoked_at -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        last_used -> Nullable<Text>,
        scopes -> Text,
        allowed_models -> Nullable<Text>,
        allowed_providers -> Nullable<Text>,
        allowed_combos -> Nullable<Text>,
        allowed_cidrs -> Nullable<Text>,
        rpm -> Nullable<BigInt>,
        tpm -> Nullable<BigInt>,
        max_concurrent -> Nullable<BigInt>,
        usd_day -> Nullable<BigInt>,
        usd_month -> Nullable<BigInt>,
        usd_total -> Nullable<BigInt>,
        capture_bodies -> Bool,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    attempts (request_id, n) {
        request_id -> Text,
        n -> BigInt,
        ts -> BigInt,
        target -> Text,
        entry_index -> Nullable<BigInt>,
        account_id -> Nullable<Text>,
        account_label -> Nullable<Text>,
        outcome -> Text,
        class -> Nullable<Text>,
        upstream_status -> Nullable<BigInt>,
        code -> Nullable<Text>,
        message -> Nullable<Text>,
        next -> Text,
        until -> Nullable<BigInt>,
        connect_ms -> Nullable<BigInt>,
        head_ms -> Nullable<BigInt>,
        first_ms -> Nullable<BigInt>,
        total_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    auth_state (id) {
        id -> BigInt,
        password_hash -> Nullable<Text>,
        password_changed_at -> Nullable<BigInt>,
        session_gen -> BigInt,
    }
}

diesel::table! {
    audit_events (seq) {
        seq -> BigInt,
        ts_ms -> BigInt,
        event -> Text,
        outcome -> Text,
        actor -> Text,
        client_ip -> Nullable<Text>,
        peer_ip -> Nullable<Text>,
        ua_hash -> Nullable<Binary>,
        method -> Nullable<Text>,
        path -> Nullable<Text>,
        status -> Nullable<BigInt>,
        request_id -> Nullable<Text>,
        count -> BigInt,
        detail -> Text,
        prev_mac -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    budgets (id) {
        id -> Text,
        scope -> Text,
        scope_id -> Text,
        window -> Text,
        limit_usd -> Nullable<BigInt>,
        limit_tokens -> Nullable<BigInt>,
        limit_requests -> Nullable<BigInt>,
        tz -> Text,
        action -> Text,
        notify_at -> Text,
        enabled -> Bool,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    alerts (id) {
        id -> Text,
        kind -> Text,
        subject -> Text,
        severity -> Text,
        title -> Text,
        consequence -> Text,
        link -> Text,
        opened_at -> BigInt,
        updated_at -> BigInt,
        closed_at -> Nullable<BigInt>,
        dismissed_fingerprint -> Nullable<Text>,
    }
}

diesel::table! {
    jobs (id) {
        id -> Text,
        kind -> Text,
        title -> Text,
        state -> Text,
        total -> BigInt,
        done -> BigInt,
        ok -> BigInt,
        failed -> BigInt,
        items -> Text,
        started_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        report -> Nullable<Text>,
        provider -> Nullable<Text>,
    }
}

diesel::table! {
    combo_entries (id) {
        id -> Text,
        combo_id -> Text,
        position -> BigInt,
        target -> Text,
        weight -> BigInt,
        tier -> Nullable<Text>,
        enabled -> Bool,
        account_id -> Nullable<Text>,
        tags -> Text,
    }
}

diesel::table! {
    combos (id) {
        id -> Text,
        name -> Text,
        description -> Nullable<Text>,
        enabled -> Bool,
        strategy -> Text,
        tier_inner -> Nullable<Text>,
        sticky_enabled -> Nullable<Bool>,
        sticky_ttl_s -> BigInt,
        rr_sticky_count -> BigInt,
        max_attempts -> BigInt,
        deadline_ms -> Nullable<BigInt>,
        fallback_on_policy -> Bool,
        capability_filter -> Bool,
        report_real_model -> Nullable<Bool>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    counters (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    data_keys (id) {
        id -> BigInt,
        wrapped -> Binary,
        created_at -> BigInt,
        retired_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    error_hourly (hour, provider, error_class) {
        hour -> BigInt,
        provider -> Text,
        error_class -> Text,
        count -> BigInt,
    }
}

diesel::table! {
    former_keys (key_id) {
        key_id -> Text,
        lookup -> Binary,
        prefix -> Text,
        last4 -> Text,
        until -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    live_models (provider, account_id, model) {
        provider -> Text,
        account_id -> Text,
        model -> Text,
        facts -> Text,
        fetched_at -> BigInt,
    }
}

diesel::table! {
    models (provider, model) {
        provider -> Text,
        model -> Text,
        source -> Text,
        enabled -> Bool,
        name -> Nullable<Text>,
        kind -> Text,
        ctx -> Nullable<BigInt>,
        max_output -> Nullable<BigInt>,
        caps -> Nullable<Text>,
        think -> Nullable<Text>,
        last_test -> Nullable<Text>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    nodes (id) {
        id -> Text,
        #[sql_name = "type"]
        type_ -> Text,
        api_type -> Nullable<Text>,
        name -> Text,
        prefix -> Text,
        base_url -> Text,
        auth_style -> Nullable<Text>,
        auth_header -> Nullable<Text>,
        headers -> Text,
        network -> Text,
        insecure_http -> Bool,
        model_source -> Text,
        test_model -> Nullable<Text>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_flows (id) {
        id -> Text,
        state_hash -> Nullable<Binary>,
        provider -> Text,
        account_id -> Nullable<Text>,
        session_hash -> Nullable<Binary>,
        mode -> Text,
        verifier -> Nullable<Text>,
        device -> Nullable<Text>,
        options -> Text,
        redirect_uri -> Nullable<Text>,
        scopes -> Text,
        status -> Text,
        message -> Nullable<Text>,
        result_account_id -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    prices (provider, model) {
        provider -> Text,
        model -> Text,
        input -> Nullable<BigInt>,
        cached -> Nullable<BigInt>,
        cache_write_5m -> Nullable<BigInt>,
        cache_write_1h -> Nullable<BigInt>,
        output -> Nullable<BigInt>,
        reasoning -> Nullable<BigInt>,
        per_request -> Nullable<BigInt>,
        note -> Nullable<Text>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    provider_overrides (provider) {
        provider -> Text,
        enabled -> Bool,
        tier -> Nullable<Text>,
        account_strategy -> Nullable<Text>,
        sticky_count -> Nullable<BigInt>,
        affinity_ttl_s -> Nullable<BigInt>,
        cooldown_base_s -> Nullable<BigInt>,
        cooldown_max_s -> Nullable<BigInt>,
        max_in_flight -> Nullable<BigInt>,
        refresh_lead_s -> Nullable<BigInt>,
        min_remaining_percent -> Nullable<BigInt>,
        proxy_mode -> Text,
        proxy_id -> Nullable<Text>,
        headers -> Text,
        retry_statuses -> Nullable<Text>,
        count_notional -> Nullable<Bool>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    proxies (id) {
        id -> Text,
        name -> Text,
        scheme -> Text,
        url -> Text,
        display_url -> Text,
        no_proxy -> Text,
        enabled -> Bool,
        last_test -> Nullable<Text>,
        rev -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    requests (id) {
        id -> Text,
        ts -> BigInt,
        external_id -> Nullable<Text>,
        api_key_id -> Nullable<Text>,
        api_key_name -> Nullable<Text>,
        tool -> Text,
        client_ip -> Nullable<Text>,
        session_hash -> Nullable<Binary>,
        dialect -> Text,
        entrypoint -> Text,
        kind -> Text,
        stream -> Bool,
        requested_model -> Text,
        combo_id -> Nullable<Text>,
        combo_name -> Nullable<Text>,
        provider -> Nullable<Text>,
        model -> Nullable<Text>,
        model_key -> Nullable<Text>,
        account_id -> Nullable<Text>,
        account_label -> Nullable<Text>,
        tier -> Nullable<Text>,
        exec_tier -> Nullable<Text>,
        entry_index -> Nullable<BigInt>,
        status -> Text,
        http_status -> BigInt,
        error_class -> Nullable<Text>,
        error_code -> Nullable<Text>,
        incomplete -> Bool,
        attempts -> BigInt,
        fallback -> Bool,
        input_tokens -> BigInt,
        cached_tokens -> BigInt,
        cache_write_5m_tokens -> BigInt,
        cache_write_1h_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        estimated -> Bool,
        list_cost -> Nullable<BigInt>,
        paid_cost -> Nullable<BigInt>,
        price_source -> Text,
        overage -> Bool,
        notional -> Bool,
        queue_ms -> Nullable<BigInt>,
        ttft_ms -> Nullable<BigInt>,
        total_ms -> Nullable<BigInt>,
        bytes_in -> BigInt,
        bytes_out -> BigInt,
        captured -> Bool,
        body_bytes -> BigInt,
    }
}

diesel::table! {
    sessions (sid_hash) {
        sid_hash -> Binary,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        #[sql_name = "gen"]
        generation -> BigInt,
        csrf_salt -> Binary,
        ip -> Text,
        ua_hash -> Binary,
        ua_family -> Text,
        must_change -> Bool,
        sudo_until -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    settings (key) {
        key -> Text,
        value -> Nullable<Text>,
        secret -> Nullable<Text>,
        updated_at -> BigInt,
        managed_by -> Nullable<Text>,
    }
}

diesel::table! {
    usage_daily (day, provider, model, account_id, api_key_id, combo_id, tool, tier, source) {
        day -> Text,
        provider -> Text,
        model -> Text,
        account_id -> Text,
        api_key_id -> Text,
        combo_id -> Text,
        tool -> Text,
        tier -> Text,
        source -> Text,
        requests -> BigInt,
        ok -> BigInt,
        failed -> BigInt,
        cancelled -> BigInt,
        attempts -> BigInt,
        fallbacks -> BigInt,
        input_tokens -> BigInt,
        cached_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        list_cost -> BigInt,
        paid_cost -> BigInt,
        unpriced -> BigInt,
        ttft_hist -> Binary,
        total_hist -> Binary,
    }
}

diesel::table! {
    usage_hourly (hour, provider, model, account_id, api_key_id, combo_id, tool, tier) {
        hour -> BigInt,
        provider -> Text,
        model -> Text,
        account_id -> Text,
        api_key_id -> Text,
        combo_id -> Text,
        tool -> Text,
        tier -> Text,
        requests -> BigInt,
        ok -> BigInt,
        failed -> BigInt,
        cancelled -> BigInt,
        attempts -> BigInt,
        fallbacks -> BigInt,
        input_tokens -> BigInt,
        cached_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        list_cost -> BigInt,
        paid_cost -> BigInt,
        unpriced -> BigInt,
        ttft_hist -> Binary,
        total_hist -> Binary,
    }
}

diesel::joinable!(account_hot_state -> accounts (account_id));
diesel::joinable!(account_locks -> accounts (account_id));
diesel::joinable!(account_secrets -> accounts (account_id));
diesel::joinable!(accounts -> proxies (proxy_id));
diesel::joinable!(combo_entries -> accounts (account_id));
diesel::joinable!(combo_entries -> combos (combo_id));
diesel::joinable!(former_keys -> api_keys (key_id));
diesel::joinable!(provider_overrides -> proxies (proxy_id));

diesel::allow_tables_to_appear_in_same_query!(
    account_hot_state,
    account_locks,
    account_secrets,
    accounts,
    aliases,
    api_keys,
    attempts,
    auth_state,
    audit_events,
    budgets,
    combo_entries,
    combos,
    counters,
    data_keys,
    error_hourly,
    former_keys,
    live_models,
    models,
    nodes,
    oauth_flows,
    prices,
    provider_overrides,
    proxies,
    requests,
    sessions,
    settings,
    usage_daily,
    usage_hourly,
);
