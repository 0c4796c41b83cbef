//! One contract, kept by every store. Whoever uses it has `mod postgres` beside it.

/// Runs each function on a store of each kind: in memory, in a file, in a database of several.
macro_rules! contract {
    ($($name:ident)+) => {
        mod memory {
            $(#[tokio::test] async fn $name() {
                super::$name(&nearframe_matchmaker::store::MemoryStore::new()).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("db");
                super::$name(&nearframe_matchmaker::store::SqliteStore::open(&path).await.unwrap()).await;
            })+
        }
        #[tokio::test]
        async fn in_postgres() {
            let server = crate::postgres::Server::start().await;
            $({
                let address = server.database(stringify!($name)).await;
                let store = nearframe_matchmaker::store::PostgresStore::open(&address).await.unwrap();
                $name(&store).await;
            })+
        }
    };
}
