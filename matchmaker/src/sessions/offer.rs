//! What it would take, where a budget does not hold.

use crate::http::problem::{Code, Problem};
use crate::state::Shared;
use crate::store::accounts::Purse;
use crate::store::{NewSession, Payer};
use crate::webhooks;
use nearframe_ledger::RESERVE_US;
use nearframe_protocol::account::{Offer, Raise, Short};

/// The problem of a session that its payer's budget does not hold; with an offer, where a key asked.
pub(super) async fn over_budget(shared: &Shared, new: &NewSession) -> Result<Problem, Problem> {
    webhooks::refused(shared, new.payer, &new.title, &new.tariff).await;
    if new.payer.is_none() {
        let detail = "The studio's budget for this title does not hold another hour. Tell the studio.";
        return Ok(Problem::new(Code::BudgetUsedUp, detail));
    }
    let offer = of(shared, new).await?;
    let detail = match &offer {
        Some(offer) => format!(
            "{} has {} left, and a session sets {} aside. Raise it with {} {}, as {}.",
            if offer.short == Short::Key { "The key" } else { "The account" },
            offer.left,
            offer.needed,
            offer.raise.method,
            offer.raise.path,
            offer.raise.by,
        ),
        None => "The key sets nothing aside any more, or others were faster. Try once more.".to_owned(),
    };
    Ok(Problem::new(Code::BudgetUsedUp, detail).offering(offer))
}

/// `None` where no key asked, the key is gone, or there is room by now.
pub(super) async fn of(shared: &Shared, new: &NewSession) -> Result<Option<Offer>, Problem> {
    let Some(payer) = new.payer else { return Ok(None) };
    let uncountable = |error| Problem::new(Code::Internal, format!("The price cannot be counted: {error}."));
    let needed = new.tariff.cost_micros(RESERVE_US).map_err(uncountable)?;
    of_payer(shared, payer, i128::from(new.tariff.price_micros_per_hour), needed).await
}

/// What it would take of whoever pays; `None` where its key is gone, or there is room by now.
pub(crate) async fn of_payer(
    shared: &Shared,
    payer: Payer,
    price_micros: i128,
    needed: i128,
) -> Result<Option<Offer>, Problem> {
    let make = |purse: &Purse, short, path: String, by: &str| {
        let left = purse.limit_micros? - purse.committed_micros;
        (left < needed).then(|| Offer {
            price_per_hour: purse.money(price_micros),
            needed: purse.money(needed),
            left: purse.money(left.max(0)),
            short,
            raise: Raise {
                method: "PUT".to_owned(),
                path,
                by: by.to_owned(),
                to_at_least: purse.money(purse.committed_micros + needed),
            },
        })
    };
    let base = format!("/v1/accounts/{}", payer.account);
    if let Some(id) = payer.key {
        let keys = shared.store.keys(payer.account).await?;
        let key = keys.into_iter().find(|key| key.id == id && key.revoked_at_ms.is_none());
        let Some(key) = key else { return Ok(None) };
        let path = format!("{base}/keys/{id}/allowance");
        if let Some(offer) = make(&key.purse, Short::Key, path, "a member of the account") {
            return Ok(Some(offer));
        }
    }
    let account = shared.store.account(payer.account).await?;
    let whole = |purse: &Purse| make(purse, Short::Account, format!("{base}/allowance"), "an operator");
    Ok(account.as_ref().and_then(|account| whole(&account.purse)))
}
