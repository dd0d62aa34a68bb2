//! `ninerouter model list`.

use serde_json::Value;

use super::Session;
use crate::cli::args::{ModelCommand, ModelListArgs};
use crate::cli::client::{Access, Client, Failed, query};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Table, tokens};

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: ModelCommand) -> Result<(), Failed> {
    session.with(Access::Read, |client| match &command {
        ModelCommand::List(args) => list(session, client, args),
    })
}

fn list(session: &Session, client: &Client, args: &ModelListArgs) -> Result<(), Failed> {
    let provider = match &args.provider {
        Some(wanted) => Some(super::provider::find(client, wanted)?.text("/id").to_owned()),
        None => None,
    };
    let filter = query(&[
        ("connected", args.available.then_some("true")),
        ("provider", provider.as_deref()),
        ("q", args.search.as_deref()),
    ]);
    let all = client.list(&format!("/api/models{filter}"))?;
    session.out.result(&all, || {
        let models = all.list("/data");
        if models.is_empty() {
            let add = if args.available {
                " Models become available with an account: ninerouter account add PROVIDER"
            } else {
                ""
            };
            return format!("No model fits.{add}\n");
        }
        let columns = [
            ("MODEL", Align::Left),
            ("NAME", Align::Left),
            ("CONTEXT", Align::Right),
            ("OUTPUT", Align::Right),
            ("CAN", Align::Left),
            ("$ IN", Align::Right),
            ("$ OUT", Align::Right),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        for model in models {
            table.row([
                model.text("/key").into(),
                model.text("/name").into(),
                model.int("/ctx").map(tokens).unwrap_or_default().into(),
                model.int("/max_output").map(tokens).unwrap_or_default().into(),
                can(model).into(),
                price(model, "/price/input").into(),
                price(model, "/price/output").into(),
            ]);
        }
        format!("{table}Prices are US dollars per million tokens, as listed by the vendors.\n")
    });
    Ok(())
}

/// Kind, where it is not chat, and capabilities.
fn can(model: &Value) -> String {
    let kind = Some(model.text("/kind")).filter(|kind| !matches!(*kind, "" | "chat"));
    kind.into_iter().chain(model.texts("/caps")).collect::<Vec<_>>().join(",")
}

/// Prices come as decimal texts.
fn price(model: &Value, at: &str) -> String {
    match model.pointer(at) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_model_can_do() {
        assert_eq!(can(&json!({"kind": "chat", "caps": ["vision", "tools"]})), "vision,tools");
        assert_eq!(can(&json!({"kind": "embedding"})), "embedding");
        assert_eq!(price(&json!({"price": {"input": "0.60"}}), "/price/input"), "0.60");
    }
}
