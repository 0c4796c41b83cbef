//! Where a host wants its money.

use crate::Label;
use std::fmt;
use std::str::FromStr;

/// Which way money leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rail {
    /// A bank, by a file of credit transfers.
    Bank,
    /// A contract on an EVM chain, by claims.
    Evm,
}

impl Rail {
    /// Its name, and that of its account.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Evm => "evm",
        }
    }
    /// What its account is called.
    pub fn label(self) -> Label {
        Label::new(self.as_str()).expect("lower-case letters")
    }
}

/// What is wrong with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// No IBAN.
    #[error(
        "not an IBAN: two letters, two check digits and 11 to 30 letters or digits whose checksum is right (ISO 13616)"
    )]
    Iban,
    /// No BIC.
    #[error("not a BIC: 8 or 11 letters and digits (ISO 9362)")]
    Bic,
    /// No address.
    #[error("not an address: 0x and 40 hex digits, whose mixed case, if any, is that of EIP-55")]
    Address,
    /// No name.
    #[error("an account holder's name has 1 to 70 characters, none of them a control character")]
    Name,
}

/// An international bank account number, without spaces.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Iban(String);

impl FromStr for Iban {
    type Err = DestinationError;
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let text: String = text.chars().filter(|letter| *letter != ' ').collect();
        let bytes = text.as_bytes();
        let shaped = (15..=34).contains(&bytes.len())
            && bytes[..2].iter().all(u8::is_ascii_uppercase)
            && bytes[2..4].iter().all(u8::is_ascii_digit)
            && bytes[4..].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !shaped {
            return Err(DestinationError::Iban);
        }
        // ISO 7064, MOD 97-10, over the number with its first four characters at the end and letters as 10 to 35.
        let rest = bytes[4..].iter().chain(&bytes[..4]).fold(0_u32, |rest, &byte| match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
        });
        if rest == 1 { Ok(Self(text)) } else { Err(DestinationError::Iban) }
    }
}
impl fmt::Display for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A bank's identifier.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Bic(String);

impl FromStr for Bic {
    type Err = DestinationError;
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let bytes = text.as_bytes();
        let alphanumeric = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let shaped = matches!(bytes.len(), 8 | 11)
            && bytes.iter().all(alphanumeric)
            && bytes[4..6].iter().all(u8::is_ascii_uppercase);
        if shaped { Ok(Self(text.to_owned())) } else { Err(DestinationError::Bic) }
    }
}
impl fmt::Display for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account on an EVM chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// The address with these bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}
impl FromStr for Address {
    type Err = DestinationError;
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let digits = text.strip_prefix("0x").ok_or(DestinationError::Address)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DestinationError::Address)?;
        let address = Self(bytes);
        let mixed =
            digits.bytes().any(|b| b.is_ascii_uppercase()) && digits.bytes().any(|b| b.is_ascii_lowercase());
        if mixed && address.to_string() != text { Err(DestinationError::Address) } else { Ok(address) }
    }
}
/// With the mixed case of EIP-55.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let hash = hex::encode(super::evm::keccak(digits.as_bytes()).0);
        f.write_str("0x")?;
        digits.chars().zip(hash.chars()).try_for_each(|(digit, nibble)| {
            let upper = nibble >= '8';
            write!(f, "{}", if upper { digit.to_ascii_uppercase() } else { digit })
        })
    }
}
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Where one host wants its money in one currency: one rail, so that no two can pay it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A bank account.
    Bank {
        /// Its holder.
        name: String,
        /// Its number.
        iban: Iban,
        /// The bank, where it has to be named.
        bic: Option<Bic>,
    },
    /// An account on an EVM chain.
    Evm {
        /// It.
        address: Address,
    },
}

impl Destination {
    /// A bank account.
    pub fn bank(name: &str, iban: Iban, bic: Option<Bic>) -> Result<Self, DestinationError> {
        let fits = (1..=70).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if fits { Ok(Self::Bank { name: name.to_owned(), iban, bic }) } else { Err(DestinationError::Name) }
    }
    /// Its rail.
    pub fn rail(&self) -> Rail {
        match self {
            Self::Bank { .. } => Rail::Bank,
            Self::Evm { .. } => Rail::Evm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibans_are_checked() {
        for iban in ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NL91ABNA0417164300"] {
            assert_eq!(iban.parse::<Iban>().unwrap().to_string(), iban.replace(' ', ""));
        }
        for wrong in
            ["DE89370400440532013001", "de89370400440532013000", "DE8937", "", "DE8937040044053201300€"]
        {
            assert_eq!(wrong.parse::<Iban>(), Err(DestinationError::Iban), "{wrong}");
        }
    }

    #[test]
    fn addresses_keep_the_case_of_eip_55() {
        // The examples of EIP-55.
        for address in
            ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"]
        {
            assert_eq!(address.parse::<Address>().unwrap().to_string(), address);
            assert_eq!(address.to_lowercase().parse::<Address>().unwrap().to_string(), address);
        }
        for wrong in
            ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5a"]
        {
            assert_eq!(wrong.parse::<Address>(), Err(DestinationError::Address), "{wrong}");
        }
    }

    #[test]
    fn names_and_banks_are_checked() {
        let iban = || "NL91ABNA0417164300".parse::<Iban>().unwrap();
        assert!(
            Destination::bank("Ada & Söhne <GmbH>", iban(), Some("COBADEFFXXX".parse().unwrap())).is_ok()
        );
        for wrong in ["", "a\nb", &"x".repeat(71)] {
            assert_eq!(Destination::bank(wrong, iban(), None), Err(DestinationError::Name));
        }
        assert!("COBADEFF".parse::<Bic>().is_ok());
        assert_eq!("COBADE1F2".parse::<Bic>(), Err(DestinationError::Bic));
    }
}
