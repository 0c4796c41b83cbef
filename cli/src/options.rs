//! The one schema of configuration: each option is a flag, an environment variable and a key of the
//! TOML file, with the same name and the same meaning.
//!
//! An absent option stays `None` here; what it means then is decided where it is used, and
//! `docs/configuration.md` says it.

use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Declares a section: every field optional, with its keys listed and a merge of two layers.
macro_rules! section {
    ($(#[$outer:meta])* $name:ident { $( $(#[$inner:meta])* $field:ident : $ty:ty ),* $(,)? }) => {
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[group(skip)]
        $(#[$outer])*
        pub(crate) struct $name { $( $(#[$inner])* pub(crate) $field: Option<$ty> ),* }

        impl $name {
            /// Fills what this layer leaves open from the layer below.
            pub(crate) fn or(self, below: Self) -> Self {
                Self { $( $field: self.$field.or(below.$field) ),* }
            }
        }
    };
}

section! {
    /// Keys at the top of the file: what every subcommand understands.
    General {
        /// Where this machine's keys, database and saves live
        #[arg(long, env = "NEARFRAME_DATA", value_name = "DIR", global = true)]
        data: PathBuf,
        /// What to log to stderr, such as `info` or `nearframe_server=debug`
        #[arg(long, env = "NEARFRAME_LOG", value_name = "FILTER", global = true)]
        log: String,
        /// Log one JSON object per line
        #[arg(long, env = "NEARFRAME_LOG_JSON", value_name = "BOOL", global = true,
              num_args = 0..=1, default_missing_value = "true")]
        log_json: bool,
    }
}

section! {
    /// `[door]`: how pages and nodes reach the matchmaker.
    #[command(next_help_heading = "Door")]
    Door {
        /// Address and port of the pages; beyond loopback it is HTTPS [default: 127.0.0.1:8600]
        #[arg(long, env = "NEARFRAME_LISTEN", value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Address that players type, where it differs from --listen
        #[arg(long, env = "NEARFRAME_PUBLIC_URL", value_name = "URL")]
        public_url: String,
        /// Origins of other sites whose pages may embed sessions
        #[arg(long, env = "NEARFRAME_ALLOWED_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
        allowed_origins: Vec<String>,
        /// Certificate chain in PEM
        #[arg(long, env = "NEARFRAME_TLS_CERT", value_name = "FILE")]
        tls_cert: PathBuf,
        /// Private key of the certificate in PEM
        #[arg(long, env = "NEARFRAME_TLS_KEY", value_name = "FILE")]
        tls_key: PathBuf,
        /// More names and addresses for the local authority's certificate
        #[arg(long, env = "NEARFRAME_TLS_NAMES", value_name = "NAME", value_delimiter = ',')]
        tls_names: Vec<String>,
        /// Plain-HTTP address that only offers the local authority's root for installation
        #[arg(long, env = "NEARFRAME_CA_LISTEN", value_name = "ADDR:PORT")]
        ca_listen: SocketAddr,
        /// Domain to obtain a certificate for, by ACME (TLS-ALPN-01)
        #[arg(long, env = "NEARFRAME_ACME_DOMAIN", value_name = "DOMAIN", value_delimiter = ',')]
        acme_domain: Vec<String>,
        /// Mail address that the ACME server may write to
        #[arg(long, env = "NEARFRAME_ACME_CONTACT", value_name = "EMAIL")]
        acme_contact: String,
        /// Directory of the ACME server [default: Let's Encrypt]
        #[arg(long, env = "NEARFRAME_ACME_DIRECTORY", value_name = "URL")]
        acme_directory: String,
        /// Root certificate, in PEM, of a private ACME server
        #[arg(long, env = "NEARFRAME_ACME_ROOT", value_name = "FILE")]
        acme_root: PathBuf,
    }
}

section! {
    /// Where the record is that `nearframe ledger` reads.
    Record {
        /// PostgreSQL database of the record [default: a file below --data]
        #[arg(long, env = "NEARFRAME_DATABASE_URL", value_name = "URL", hide_env_values = true)]
        database_url: String,
    }
}

section! {
    /// `[agent]`: whom `nearframe mcp` and `nearframe checker` ask, and as whom.
    #[command(next_help_heading = "Agent")]
    Agent {
        /// The matchmaker to ask, such as https://play.example.org
        #[arg(long, env = "NEARFRAME_SERVER", value_name = "URL")]
        server: String,
        /// A key of an account; better in the variable or a file than on the command line, which others can read
        #[arg(long, env = "NEARFRAME_KEY", value_name = "KEY", hide_env_values = true)]
        key: String,
        /// File with the key
        #[arg(long, env = "NEARFRAME_KEY_FILE", value_name = "FILE")]
        key_file: PathBuf,
        /// SHA-256 of the matchmaker's root certificate, in hex, where no public authority vouches for it
        #[arg(long, env = "NEARFRAME_PIN", value_name = "HEX")]
        pin: String,
    }
}

section! {
    /// `[matchmaker]`: what it hands out and what it charges.
    #[command(next_help_heading = "Matchmaker")]
    Matchmaking {
        /// PostgreSQL database for the record, such as postgres://user@host/nearframe [default: a file below --data]
        #[arg(long, env = "NEARFRAME_DATABASE_URL", value_name = "URL", hide_env_values = true)]
        database_url: String,
        /// NATS servers that connect several matchmakers on one database, such as nats://host:4222
        #[arg(long, env = "NEARFRAME_BUS_URL", value_name = "URL", hide_env_values = true)]
        bus_url: String,
        /// Databases of addresses in MaxMind's format (.mmdb): where players probably are, until they measured
        #[arg(long, env = "NEARFRAME_ADDRESS_DATABASES", value_name = "FILE", value_delimiter = ',')]
        address_databases: Vec<PathBuf>,
        /// Files that each describe a provider people sign in with (OpenID Connect), such as google.toml
        #[arg(long, env = "NEARFRAME_OIDC_PROVIDERS", value_name = "FILE", value_delimiter = ',')]
        oidc_providers: Vec<PathBuf>,
        /// Kinds of account that whoever comes from a provider may make: player, studio, or none [default: player]
        #[arg(long, env = "NEARFRAME_NEW_ACCOUNTS", value_name = "KIND", value_delimiter = ',')]
        new_accounts: Vec<String>,
        /// STUN servers, such as stun:stun.example.org:3478
        #[arg(long, env = "NEARFRAME_STUN", value_name = "URL", value_delimiter = ',')]
        stun: Vec<String>,
        /// TURN servers, such as turn:turn.example.org:3478?transport=udp
        #[arg(long, env = "NEARFRAME_TURN", value_name = "URL", value_delimiter = ',')]
        turn: Vec<String>,
        /// File with the secret shared with the TURN servers (coturn's static-auth-secret)
        #[arg(long, env = "NEARFRAME_TURN_SECRET_FILE", value_name = "FILE")]
        turn_secret_file: PathBuf,
        /// Price of an hour of play, in micro-units of the currency
        #[arg(long, env = "NEARFRAME_PRICE_MICROS_PER_HOUR", value_name = "MICROS")]
        price_micros_per_hour: i64,
        /// Prices that differ from it, each WORK[@REGION][/TIER]=MICROS, such as batch=200000 or interactive@DE/4=900000
        #[arg(long, env = "NEARFRAME_RATES", value_name = "RATE", value_delimiter = ',')]
        rates: Vec<String>,
        /// Currency of prices: an ISO 4217 code or a token symbol
        #[arg(long, env = "NEARFRAME_CURRENCY", value_name = "CODE")]
        currency: String,
        /// Days from its enrolment on in which a node is new to checkers [default: 14]
        #[arg(long, env = "NEARFRAME_CHECK_NEW_DAYS", value_name = "DAYS")]
        check_new_days: u16,
        /// Audits of a new node in a day, on average, at most 24 [default: 6]
        #[arg(long, env = "NEARFRAME_CHECK_NEW_PER_DAY", value_name = "N")]
        check_new_per_day: u8,
        /// Audits of any other node in a day, on average, at most 24 [default: 1]
        #[arg(long, env = "NEARFRAME_CHECK_PER_DAY", value_name = "N")]
        check_per_day: u8,
        /// Who bills, line by line with semicolons between them: name, address, tax number
        #[arg(long, env = "NEARFRAME_COMPANY", value_name = "LINE", value_delimiter = ';')]
        company: Vec<String>,
        /// Account that hosts are paid from (IBAN), held by the first line of --company
        #[arg(long, env = "NEARFRAME_PAYER_IBAN", value_name = "IBAN")]
        payer_iban: String,
        /// Its bank (BIC), where it has to be named
        #[arg(long, env = "NEARFRAME_PAYER_BIC", value_name = "BIC")]
        payer_bic: String,
        /// Decimals of the token that claims on a chain are counted in [default: 6]
        #[arg(long, env = "NEARFRAME_TOKEN_DECIMALS", value_name = "N")]
        token_decimals: u8,
        /// Seconds in which machines bid for a reservation [default: 10]
        #[arg(long, env = "NEARFRAME_AUCTION_S", value_name = "SECONDS")]
        auction_s: u32,
        /// Hours after its enrolment for which a machine's earnings are held [default: 72]
        #[arg(long, env = "NEARFRAME_NEW_HOST_HOURS", value_name = "HOURS")]
        new_host_hours: u32,
        /// Sessions that have to end on a machine before its earnings are settled [default: 3]
        #[arg(long, env = "NEARFRAME_NEW_HOST_SESSIONS", value_name = "N")]
        new_host_sessions: u32,
        /// Judge what witnesses say about machines, and open cases for the operator [default: true]
        #[arg(long, env = "NEARFRAME_JUDGE", value_name = "BOOL",
              num_args = 0..=1, default_missing_value = "true")]
        judge: bool,
        /// File with the rules of stakes (TOML): what hosts stake, and lose for what
        #[arg(long, env = "NEARFRAME_STAKE_RULES", value_name = "FILE")]
        stake_rules: PathBuf,
        /// File with the table of credits (TOML): what is paid back below which service level
        #[arg(long, env = "NEARFRAME_CREDIT_RULES", value_name = "FILE")]
        credit_rules: PathBuf,
        /// Let webhooks name plain HTTP and hosts that are not public: for tests and closed networks
        #[arg(long, env = "NEARFRAME_PRIVATE_WEBHOOKS", value_name = "BOOL",
              num_args = 0..=1, default_missing_value = "true")]
        private_webhooks: bool,
    }
}

section! {
    /// `[node]`: what this machine offers.
    #[command(next_help_heading = "Node")]
    Node {
        /// Folder of titles to offer, next to the built-in ones
        #[arg(long, env = "NEARFRAME_TITLES", value_name = "DIR")]
        titles: PathBuf,
        /// What players see this machine called [default: the host name]
        #[arg(long, env = "NEARFRAME_NAME", value_name = "NAME")]
        name: String,
        /// ISO 3166 country and optional subdivision, such as DE or US-CA
        #[arg(long, env = "NEARFRAME_REGION", value_name = "CODE")]
        region: String,
        /// Where it stands: degrees north and east, such as 52.52,13.40
        #[arg(long, env = "NEARFRAME_LOCATION", value_name = "NORTH,EAST", allow_hyphen_values = true)]
        location: String,
        /// Titles kept running at their menu for the next player, by id
        #[arg(long, env = "NEARFRAME_PREPARE", value_name = "ID", value_delimiter = ',')]
        prepare: Vec<String>,
        /// Offer only programs that are trusted this far: reviewed or sandboxed [default: sandboxed]
        #[arg(long, env = "NEARFRAME_LEAST_TRUST", value_name = "TRUST")]
        least_trust: String,
        /// Sessions at once [default: measured at the first start]
        #[arg(long, env = "NEARFRAME_SLOTS", value_name = "N")]
        slots: u32,
        /// The least that it takes for an hour of standing by, such as 0.05 [default: what the rate card gives]
        #[arg(long, env = "NEARFRAME_STANDBY_PRICE", value_name = "AMOUNT")]
        standby_price: String,
        /// Highest video bitrate of a session, in bit/s [default: 10000000]
        #[arg(long, env = "NEARFRAME_MAX_BITRATE_BPS", value_name = "BPS")]
        max_bitrate_bps: u32,
        /// Video encoder: auto, nvenc, vulkan or openh264 [default: auto, the best that works]
        #[arg(long, env = "NEARFRAME_ENCODER", value_name = "NAME")]
        encoder: String,
        /// How thoroughly NVENC searches: p1, the fastest, to p7, the finest [default: p1]
        #[arg(long, env = "NEARFRAME_NVENC_PRESET", value_name = "PRESET")]
        nvenc_preset: String,
        /// NVENC renews the picture in stripes over so many frames, again and again [default: it does not]
        #[arg(long, env = "NEARFRAME_NVENC_INTRA_REFRESH", value_name = "FRAMES")]
        nvenc_intra_refresh: u32,
        /// Folder with libcuda.so.1, libnvidia-encode.so.1 and libnvidia-ml.so.1 [default: the system's loader finds them]
        #[arg(long, env = "NEARFRAME_NVIDIA_LIBRARIES", value_name = "DIR")]
        nvidia_libraries: PathBuf,
        /// Addresses that media leaves from [default: loopback, or the listened-on address]
        #[arg(long, env = "NEARFRAME_MEDIA_BIND", value_name = "ADDR", value_delimiter = ',')]
        media_bind: Vec<IpAddr>,
        /// Addresses to tell players instead, such as a router's outside
        #[arg(long, env = "NEARFRAME_MEDIA_ADVERTISE", value_name = "ADDR", value_delimiter = ',')]
        media_advertise: Vec<IpAddr>,
        /// UDP ports of media, such as 40000-40099 [default: the system chooses]
        #[arg(long, env = "NEARFRAME_MEDIA_PORTS", value_name = "FIRST-LAST")]
        media_ports: String,
        /// Also accept media over TCP, for networks that block UDP
        #[arg(long, env = "NEARFRAME_ICE_TCP", value_name = "BOOL",
              num_args = 0..=1, default_missing_value = "true")]
        ice_tcp: bool,
    }
}

section! {
    /// `[enrolment]`: whom a node that runs apart belongs to.
    #[command(next_help_heading = "Enrolment")]
    Enrolment {
        /// The matchmaker to serve, such as https://play.example.org
        #[arg(long, env = "NEARFRAME_MATCHMAKER", value_name = "URL")]
        matchmaker: String,
        /// SHA-256 of the matchmaker's root certificate, in hex, where no public authority vouches for it
        #[arg(long, env = "NEARFRAME_PIN", value_name = "HEX")]
        pin: String,
        /// One-time code from the operator's page; needed once, for a new node
        #[arg(long, env = "NEARFRAME_ENROLMENT_CODE", value_name = "CODE", allow_hyphen_values = true)]
        enrolment_code: String,
    }
}
