//! A chain in memory with a token and a distributor that holds all of it.

use nearframe_ledger::hash::Hash32;
use nearframe_ledger::payout::Address as Account;
use nearframe_ledger::payout::evm::keccak;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, Output};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::{MainnetContext, MainnetEvm};
use revm::primitives::{Address, Bytes, TxKind, U256};
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext};

/// Deploys everything.
pub(crate) const OWNER: Address = Address::repeat_byte(0xaa);
/// Sends claims of others.
pub(crate) const STRANGER: Address = Address::repeat_byte(0xbb);
/// What the distributor holds at first, in the token's smallest unit.
pub(crate) const SUPPLY: u128 = 1_000_000_000;

/// What a call answers, or the selector of the error that it reverts with.
pub(crate) type Answer = Result<Vec<u8>, [u8; 4]>;

/// `evm/artifacts.json`.
pub(crate) fn artifacts() -> serde_json::Value {
    serde_json::from_str(include_str!("../../evm/artifacts.json")).unwrap()
}

/// The first bytes of a call, or of an error.
pub(crate) fn selector(signature: &str) -> [u8; 4] {
    keccak(signature.as_bytes()).0[..4].try_into().unwrap()
}

fn word(value: u128) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

fn encode(signature: &str, words: &[[u8; 32]]) -> Vec<u8> {
    [&selector(signature)[..], &words.concat()].concat()
}

/// The chain.
pub(crate) struct Chain {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>,
    /// Transactions of the owner and of the stranger.
    sent: [u64; 2],
    token: Address,
    distributor: Address,
}

impl Chain {
    /// With one of the tokens of `evm/TestToken.sol`.
    pub(crate) fn new(token: &str) -> Self {
        let evm = Context::mainnet().with_db(CacheDB::new(EmptyDB::default())).build_mainnet();
        let mut chain = Self { evm, sent: [0; 2], token: Address::ZERO, distributor: Address::ZERO };
        chain.token = chain.deploy(token, word(SUPPLY));
        chain.distribute(chain.token);
        let fund = encode("transfer(address,uint256)", &[chain.distributor.into_word().0, word(SUPPLY)]);
        chain.call(OWNER, chain.token, fund).unwrap();
        chain
    }

    /// Goes on with another distributor, which pays in what is at `token`.
    pub(crate) fn distribute(&mut self, token: Address) {
        self.distributor = self.deploy("Distributor", token.into_word().0);
    }

    /// Replaces the root.
    pub(crate) fn set_root(&mut self, from: Address, root: Hash32) -> Answer {
        self.call(from, self.distributor, encode("setRoot(bytes32)", &[root.0]))
    }

    /// Sends a claim.
    pub(crate) fn claim(&mut self, calldata: &[u8]) -> Answer {
        self.call(STRANGER, self.distributor, calldata.to_vec())
    }

    /// Has the token call whoever transfers.
    pub(crate) fn call_back(&mut self, calldata: &[u8]) {
        let head = encode("callBack(bytes)", &[word(32), word(calldata.len() as u128)]);
        let padding = vec![0; calldata.len().next_multiple_of(32) - calldata.len()];
        self.call(OWNER, self.token, [&head, calldata, &padding].concat()).unwrap();
    }

    /// What an account has.
    pub(crate) fn balance(&mut self, of: &Account) -> u128 {
        let of = Address::from(*of.as_bytes()).into_word().0;
        let answer = self.call(STRANGER, self.token, encode("balanceOf(address)", &[of])).unwrap();
        U256::from_be_slice(&answer).try_into().unwrap()
    }

    fn deploy(&mut self, name: &str, argument: [u8; 32]) -> Address {
        let code = hex::decode(artifacts()["contracts"][name]["code"].as_str().unwrap()).unwrap();
        match self.send(OWNER, TxKind::Create, [&code[..], &argument].concat()) {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => address,
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, from: Address, to: Address, data: Vec<u8>) -> Answer {
        match self.send(from, TxKind::Call(to), data) {
            ExecutionResult::Success { output, .. } => Ok(output.into_data().to_vec()),
            ExecutionResult::Revert { output, .. } => Err(output[..4].try_into().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, from: Address, kind: TxKind, data: Vec<u8>) -> ExecutionResult {
        let nonce = &mut self.sent[usize::from(from != OWNER)];
        let transaction = TxEnv::builder()
            .caller(from)
            .kind(kind)
            .data(Bytes::from(data))
            .nonce(*nonce)
            .gas_limit(5_000_000)
            .build()
            .unwrap();
        *nonce += 1;
        self.evm.transact_commit(transaction).unwrap()
    }
}
