//! The table of blocks on every store, and how far rows may be read while somebody still writes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod postgres;

use nearframe_ledger::books::BlockHash;
use nearframe_matchmaker::store::ledger::BlockRow;
use nearframe_matchmaker::store::{LedgerStore, PostgresStore, StakeStore, Store};
use sqlx::{Connection, Executor, PgConnection};

fn hash(n: u8) -> BlockHash {
    BlockHash::from_bytes([n; 32])
}

/// The block with this hash after the one with that.
fn block(height: u64, previous: BlockHash, n: u8) -> BlockRow {
    BlockRow { height, previous, hash: hash(n), bytes: vec![n; 100 + usize::from(n)] }
}

async fn a_block_is_taken_only_as_the_next_one(store: &dyn Store) {
    let add = async |row: BlockRow| store.add_block(&row).await.unwrap();
    assert!(!add(block(1, hash(1), 2)).await, "there is none before it");
    assert!(add(block(0, BlockHash::NONE, 1)).await);
    assert!(!add(block(0, BlockHash::NONE, 1)).await, "the same again is not written now");
    assert!(!add(block(0, BlockHash::NONE, 9)).await, "another has the height");
    assert!(!add(block(1, hash(9), 2)).await, "the one before is another");
    assert!(!add(block(2, hash(1), 3)).await, "one is missing between");
    assert!(add(block(1, hash(1), 2)).await);
    assert!(add(block(2, hash(2), 3)).await);

    let all = store.blocks_after(0).await.unwrap();
    assert_eq!(all.before, None);
    assert_eq!(all.blocks, [1, 2, 3].map(|n| vec![n; 100 + usize::from(n)]));
    let last = store.blocks_after(2).await.unwrap();
    assert_eq!((last.before, last.blocks), (Some(hash(2)), all.blocks[2..].to_vec()));
    let end = store.blocks_after(3).await.unwrap();
    assert_eq!((end.before, end.blocks.len()), (Some(hash(3)), 0));
    let beyond = store.blocks_after(4).await.unwrap();
    assert_eq!((beyond.before, beyond.blocks.len()), (None, 0));
}

async fn many_blocks_and_large_ones_come_in_pages_of_at_least_one(store: &dyn Store) {
    // The largest that there is: 16,384 records.
    let large = vec![7; 104 + 16_384 * 128];
    let mut previous = BlockHash::NONE;
    for n in 0..6_u8 {
        let row = BlockRow { height: n.into(), previous, hash: hash(n + 1), bytes: large.clone() };
        assert!(store.add_block(&row).await.unwrap());
        previous = row.hash;
    }
    let mut blocks = 0;
    loop {
        let page = store.blocks_after(blocks).await.unwrap().blocks;
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|bytes| *bytes == large));
        blocks += page.len() as u64;
    }
    assert_eq!(blocks, 6);
}

contract! {
    a_block_is_taken_only_as_the_next_one
    many_blocks_and_large_ones_come_in_pages_of_at_least_one
}

#[tokio::test]
async fn of_many_who_write_the_next_block_at_once_one_does_and_none_is_ever_changed() {
    let server = postgres::Server::start().await;
    let url = server.database("blocks").await;
    let store = std::sync::Arc::new(PostgresStore::open(&url).await.unwrap());
    for height in 0..20_u8 {
        let previous = if height == 0 { BlockHash::NONE } else { store_head(&store, height).await };
        let rivals = (0..8_u8).map(|n| {
            let (store, hash) = (std::sync::Arc::clone(&store), BlockHash::from_bytes([height * 8 + n; 32]));
            let row = BlockRow { height: height.into(), previous, hash, bytes: vec![n] };
            tokio::spawn(async move { store.add_block(&row).await.unwrap() })
        });
        let mut written = 0;
        for rival in rivals.collect::<Vec<_>>() {
            written += u32::from(rival.await.unwrap());
        }
        assert_eq!(written, 1, "block {height}");
    }
    let mut forger = PgConnection::connect(&url).await.unwrap();
    for change in
        ["UPDATE ledger_blocks SET bytes = ''", "DELETE FROM ledger_blocks", "TRUNCATE ledger_blocks"]
    {
        let refused = forger.execute(change).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{change}: {refused}");
    }
}

async fn store_head(store: &PostgresStore, blocks: u8) -> BlockHash {
    store.blocks_after(blocks.into()).await.unwrap().before.unwrap()
}

/// A connection of somebody else's, in the middle of a transaction.
async fn begun(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    connection
}

async fn write(connection: &mut PgConnection, key: &str) {
    let insert = format!(
        "INSERT INTO credits (kind, about, debit, credit, amount_micros, currency, key, at_ms)
         VALUES ('slash', 'a', 'platform', 'studio:meteor', 1, 'EUR', '{key}', 1)"
    );
    connection.execute(&*insert).await.unwrap();
}

/// Reads on as the ledger does.
async fn read(store: &PostgresStore, after: &mut u64) -> Vec<String> {
    let rows = store.credits_after(*after, 100).await.unwrap();
    *after = rows.last().map_or(*after, |row| row.seq);
    rows.into_iter().map(|row| row.key).collect()
}

#[tokio::test]
async fn a_row_whose_transaction_is_open_across_a_read_is_not_skipped() {
    let server = postgres::Server::start().await;
    let url = server.database("cursor").await;
    let store = PostgresStore::open(&url).await.unwrap();
    let mut after = 0;
    let mut quick = PgConnection::connect(&url).await.unwrap();
    write(&mut quick, "first").await;
    assert_eq!(read(&store, &mut after).await, ["first"], "at once where nobody else writes");

    let mut slow = begun(&url).await;
    write(&mut slow, "slow").await;
    write(&mut quick, "quick").await;
    assert!(read(&store, &mut after).await.is_empty());
    assert!(read(&store, &mut after).await.is_empty(), "however often it is read");
    slow.execute("COMMIT").await.unwrap();
    assert_eq!(read(&store, &mut after).await, ["slow", "quick"]);

    // Who draws the lower number has the younger transaction: no transaction that is over is younger.
    let mut old = begun(&url).await;
    old.execute("SELECT pg_current_xact_id()").await.unwrap();
    let mut young = begun(&url).await;
    write(&mut young, "young").await;
    write(&mut old, "old").await;
    old.execute("COMMIT").await.unwrap();
    assert!(read(&store, &mut after).await.is_empty());
    young.execute("COMMIT").await.unwrap();
    assert_eq!(read(&store, &mut after).await, ["young", "old"]);

    // What is taken back holds nothing up, and neither does who begins later.
    let mut gone = begun(&url).await;
    write(&mut gone, "gone").await;
    write(&mut quick, "before").await;
    assert!(read(&store, &mut after).await.is_empty());
    let mut later = begun(&url).await;
    write(&mut later, "later").await;
    gone.execute("ROLLBACK").await.unwrap();
    assert_eq!(read(&store, &mut after).await, ["before"]);
    later.execute("COMMIT").await.unwrap();
    assert_eq!(read(&store, &mut after).await, ["later"]);
}

#[tokio::test]
async fn whoever_writes_has_an_id_before_it_draws_a_number() {
    let server = postgres::Server::start().await;
    let url = server.database("ids").await;
    drop(PostgresStore::open(&url).await.unwrap());
    for table in ["transfers", "charges", "corrections", "stake_entries", "credits"] {
        let mut writer = begun(&url).await;
        let nothing =
            format!("INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table} WHERE false");
        writer.execute(&*nothing).await.unwrap();
        let asked = sqlx::query_scalar("SELECT pg_current_xact_id_if_assigned() IS NOT NULL");
        let has_id: bool = asked.fetch_one(&mut writer).await.unwrap();
        assert!(has_id, "{table}");
    }
}
