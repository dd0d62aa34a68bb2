//! Prices as a table that goes out and comes back, and what it makes of history.

use ninerouter::demo::chaos::{Chaos, reply};
use serde_json::{Value, json};

use crate::support::management::call;
use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, until};

const HEAD: &str =
    "provider,model,input,cached,cache_write_5m,cache_write_1h,output,reasoning,per_request";

fn import(router: &Router, text: &str) -> Reply {
    call(router, "POST", "/api/prices/import", json!({ "text": text }))
}

/// The operator's own prices as CSV, without the head.
fn own(router: &Router) -> String {
    let export = call(router, "GET", "/api/prices/export?overridden=true", Value::Null);
    assert_eq!(export.header("content-type"), Some("text/csv; charset=utf-8"));
    export.text().strip_prefix(HEAD).expect("the head").trim().to_owned()
}

#[test]
fn a_table_that_goes_out_comes_back_as_it_was() {
    let router = Setup::new().start();
    let export = call(&router, "GET", "/api/prices/export", Value::Null);
    assert!(export.text().lines().count() > 100, "{}", export.brief());
    let taken = import(&router, &export.text());
    assert_eq!(taken.status, 200, "{}", taken.brief());
    assert_eq!(taken.json()["changed"], 0, "{}", taken.brief());
    assert_eq!(own(&router), "");

    // One price is changed, in columns of another order; what is the catalog's stays the catalog's.
    let line = export
        .text()
        .lines()
        .find(|line| line.starts_with("deepseek,deepseek-chat,"))
        .unwrap()
        .to_owned();
    let listed: Vec<&str> = line.split(',').collect();
    let text =
        format!("model,input,output,provider\n\"deepseek-chat\",{},9.5,deepseek\n", listed[2]);
    let plan =
        call(&router, "POST", "/api/prices/import?dry_run=true", json!({ "text": text })).json();
    assert_eq!((&plan["applied"], &plan["changes"][0]["action"]), (&json!(false), &json!("add")));
    assert_eq!(own(&router), "");
    let taken = import(&router, &text).json();
    assert_eq!((&taken["changed"], &taken["unchanged"]), (&json!(1), &json!(0)), "{taken}");
    let mine = own(&router);
    assert!(mine.contains(",9.50,"), "{mine}");
    let price = |router: &Router| {
        let list = call(router, "GET", "/api/prices?overridden=true", Value::Null).json();
        list["data"].as_array().unwrap().clone()
    };
    assert_eq!(price(&router)[0]["price"]["input"], listed[2]);
    // What is taken back as it went out changes nothing, and an empty line takes the price away.
    assert_eq!(import(&router, &format!("{HEAD}\r\n{mine}\r\n")).json()["changed"], 0);
    let gone = import(&router, "provider,model,output\ndeepseek,deepseek-chat,\n").json();
    assert_eq!(gone["changes"][0]["action"], "remove", "{gone}");
    assert!(price(&router).is_empty());
}

#[test]
fn a_table_with_a_mistake_is_refused_whole_and_says_where() {
    let router = Setup::new()
        .toml("[[prices]]\nprovider = \"deepseek\"\nmodel = \"managed\"\ninput = \"1\"\n")
        .start();
    for (text, place, why) in [
        ("provider,model,inptu\n", "text", "no column `inptu`"),
        ("provider,input\n", "text", "must name the columns"),
        ("", "text", "must name the columns"),
        ("provider,model\n\"deepseek", "text", "line 2"),
        ("provider,model,input\ndeepseek,other,1\ndeepseek,m,-1\n", "line 3", ""),
        ("provider,model,input\ndeepseek,m,cheap\n", "line 2", ""),
        ("provider,model,input\ndeepseek,m\n", "line 2", "2 cells instead of 3"),
        ("provider,model,input\n\nnobody,m,1\n", "line 3", "nobody"),
        ("provider,model,input\ndeepseek,m,1\ndeepseek,m,2\n", "line 3", "another line"),
        ("provider,model,input\ndeepseek,managed,2\n", "line 2", "config file"),
    ] {
        let refused = import(&router, text);
        assert_eq!(refused.status, 422, "{text}: {}", refused.brief());
        let error = &refused.json()["error"];
        let told = error["fields"][place].as_str().unwrap_or_else(|| panic!("{text}: {error}"));
        assert!(told.contains(why), "{text}: {told}");
    }
    let mine = own(&router);
    assert!(mine.lines().count() == 1 && mine.contains("managed"), "{mine}");
}

#[test]
fn history_is_brought_to_the_prices_of_now() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "up", &chaos.url("/v1"))
        .key("laptop", "sk-test-0123456789abcdef", "")
        .start();
    let headers = [
        ("authorization", "Bearer sk-test-0123456789abcdef"),
        ("content-type", "application/json"),
    ];
    let body = Dialect::Chat.body("up/m", false);
    for _ in 0..2 {
        let reply = router.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
        assert_eq!(reply.status, 200);
    }
    let rows = || {
        let page = call(&router, "GET", "/api/requests", Value::Null).json();
        page["data"].as_array().unwrap().clone()
    };
    until(PATIENCE, "both rows", || (rows().len() == 2).then_some(()));
    assert_eq!(rows()[0]["list_umicro"], Value::Null);
    let figures = || {
        let figures = call(&router, "GET", "/api/usage/summary", Value::Null).json();
        ["list_umicro", "paid_umicro", "unpriced_requests"].map(|name| figures[name].clone())
    };
    assert_eq!(figures(), [0, 0, 2]);
    let recalculated = || {
        let begun = call(&router, "POST", "/api/prices/recalculate", json!({}));
        assert_eq!(begun.status, 202, "{}", begun.brief());
        let path = format!("/api/jobs/{}", begun.json()["job"]["id"].as_str().unwrap());
        let job = until(PATIENCE, "the job ends", || {
            let job = call(&router, "GET", &path, Value::Null).json();
            job["finished"].is_i64().then_some(job)
        });
        assert_eq!(job["state"], "done", "{job}");
        job["items"][0]["message"].clone()
    };
    assert_eq!(recalculated(), "0 of 2 changed", "there is no price yet");
    let price = json!({"input": "2", "output": "4"});
    assert_eq!(call(&router, "PUT", "/api/prices/up/m", price).status, 201);
    assert_eq!(recalculated(), "2 of 2 changed");
    // 11 tokens in, 5 out.
    for row in rows() {
        assert_eq!((&row["list_umicro"], &row["paid_umicro"]), (&json!(42), &json!(42)));
        assert_eq!(row["price_source"], "operator");
    }
    assert_eq!(figures(), [84, 84, 0]);
    let spent = router.rows(&["value"], "counters where name like 'key_spent:%'");
    assert_eq!(spent, [json!({"value": 84})]);
    let daily = router.rows(&["list_cost", "paid_cost", "unpriced"], "usage_daily");
    assert_eq!(daily, [json!({"list_cost": 84, "paid_cost": 84, "unpriced": 0})]);
    let listed = |query: &str| {
        let list = call(&router, "GET", &format!("/api/prices?{query}"), Value::Null).json();
        list["data"].as_array().unwrap().iter().map(|one| one["key"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed("used_days=30"), ["up/m"]);
    assert!(listed("used_days=30&provider=deepseek").is_empty());
    assert_eq!(call(&router, "GET", "/api/prices?used_days=0", Value::Null).status, 422);
    assert_eq!(recalculated(), "0 of 2 changed");
    call(&router, "PUT", "/api/prices/up/m", json!({"input": "0", "output": "4"}));
    assert_eq!(recalculated(), "2 of 2 changed");
    assert_eq!(figures(), [40, 40, 0]);
}
