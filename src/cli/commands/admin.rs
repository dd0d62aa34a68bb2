//! `ninerouter admin …`: the way back in for who forgot the password or shut himself out (SEC-PW-4, SEC-IP-7),
//! or has to wait for the next attempt (SEC-LIM).

use serde_json::json;

use super::Session;
use crate::cli::args::{AdminCommand, ResetPasswordArgs};
use crate::cli::client::{Access, Client, Failed};
use crate::cli::input;

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work. Nothing was changed then.
pub fn run(session: &Session, command: &AdminCommand) -> Result<(), Failed> {
    match command {
        AdminCommand::ResetPassword(args) => {
            let new = new_password(args)?;
            session.with(Access::Write, |client| reset_password(session, client, new.expose()))
        }
        AdminCommand::ResetWhitelist => {
            session.with(Access::Write, |client| reset_whitelist(session, client))
        }
        // Attempts are counted in the running router's memory alone.
        AdminCommand::UnlockLogin => unlock_login(session, &Client::of_running(&session.options)?),
    }
}

fn new_password(args: &ResetPasswordArgs) -> Result<crate::secret::Secret, Failed> {
    let first = input::password("New password: ", args.password_stdin)?;
    if !args.password_stdin && input::password("Once more: ", false)? != first {
        return Err(Failed::Usage("the two passwords differ; nothing was changed".to_owned()));
    }
    Ok(first)
}

fn reset_password(session: &Session, client: &Client, new: &str) -> Result<(), Failed> {
    client.post("/api/auth/password", &json!({ "new": new }))?;
    session.out.note("The password is set. Every browser is signed out.\n");
    Ok(())
}

fn unlock_login(session: &Session, client: &Client) -> Result<(), Failed> {
    client.post("/api/auth/unlock-login", &json!({}))?;
    session.out.note("Failed sign-ins are forgotten. Everybody may try again at once.\n");
    Ok(())
}

fn reset_whitelist(session: &Session, client: &Client) -> Result<(), Failed> {
    let defaults = json!({"ip_whitelist": null, "ip_whitelist_strict": null});
    let all = client.patch("/api/settings", &defaults)?;
    session.out.result(&all, || {
        let list = all.pointer("/settings/ip_whitelist").and_then(|list| list.as_array());
        let list: Vec<&str> = list.into_iter().flatten().filter_map(|net| net.as_str()).collect();
        format!("These addresses are admitted to the dashboard: {}\n", list.join(", "))
    });
    Ok(())
}
