//! The library's cryptography, with a cipher for SRTP that shares its key.

use super::{Keyed, Tap};
use nearframe_wire::{Algorithm, Sealer, TAG_LEN};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use webrtc::peer_connection::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher,
    CryptoAlgorithm, CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey,
    RTCCrypto, RTCCryptoProvider, RTCRandom, SecretVec, SignatureScheme, SigningKey, StreamCipher,
    StreamCipherAlgorithm,
};

/// Passes everything on but the encryption of RTP.
pub(super) struct TappedCrypto {
    inner: Arc<dyn RTCCryptoProvider>,
    tap: Arc<Tap>,
}

impl TappedCrypto {
    pub(super) fn new(inner: Arc<dyn RTCCryptoProvider>, tap: Arc<Tap>) -> Self {
        Self { inner, tap }
    }
}

impl RTCCryptoProvider for TappedCrypto {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }
    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

impl RTCCrypto for TappedCrypto {
    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        let inner = self.inner.crypto().new_aead(algorithm, key)?;
        let algorithm = match algorithm {
            AeadAlgorithm::Aes128Gcm => Algorithm::Aes128Gcm,
            AeadAlgorithm::Aes256Gcm => Algorithm::Aes256Gcm,
            _ => return Ok(inner),
        };
        let (key, tap) = (SecretVec::new(key.to_vec()), Arc::clone(&self.tap));
        let id = tap.ciphers.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(TappedCipher { inner, id, algorithm, key, tap }))
    }
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.inner.crypto().supports(algorithm)
    }
    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }
    fn block_encrypt(
        &self,
        algorithm: BlockCipherAlgorithm,
        key: &[u8],
        block: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().block_encrypt(algorithm, key, block)
    }
    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }
    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }
    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.inner.crypto().new_cbc(algorithm, key)
    }
    fn start_key_exchange(
        &self,
        algorithm: KeyExchangeAlgorithm,
    ) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }
    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }
    fn import_signing_key(
        &self,
        scheme: SignatureScheme,
        pkcs8_der: &[u8],
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, pkcs8_der)
    }
    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        public_key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, public_key, message, signature)
    }
}

/// One key of AES-GCM: of DTLS, of SRTCP, of SRTP in either direction. Only what encrypts RTP is ours.
struct TappedCipher {
    inner: Box<dyn AeadCipher>,
    id: u64,
    algorithm: Algorithm,
    key: SecretVec,
    tap: Arc<Tap>,
}

impl AeadCipher for TappedCipher {
    fn tag_len(&self) -> usize {
        self.inner.tag_len()
    }

    fn seal_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        plaintext_and_ciphertext: &mut [u8],
        tag_out: &mut [u8],
    ) -> Result<(), CryptoError> {
        if !Sealer::is_rtp(aad) {
            return self.inner.seal_in_place(nonce, aad, plaintext_and_ciphertext, tag_out);
        }
        let tag = self.seal_rtp(nonce, aad, plaintext_and_ciphertext)?;
        let actual = tag_out.len();
        let out =
            tag_out.get_mut(..TAG_LEN).ok_or(CryptoError::OutputTooSmall { required: TAG_LEN, actual })?;
        out.copy_from_slice(&tag);
        Ok(())
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext_and_plaintext: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.open_in_place(nonce, aad, ciphertext_and_plaintext, tag)
    }
}

impl TappedCipher {
    /// The library's own count of rollovers, which is in `nonce`, holds for the first packet only: it does not see
    /// those that go the direct way.
    fn seal_rtp(
        &self,
        nonce: &[u8],
        header: &[u8],
        payload: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let mut keyed = self.tap.keyed.lock().map_err(|_| refused("the sealer's lock is poisoned"))?;
        match keyed.as_mut() {
            Some(known) if known.cipher == self.id => {
                known.sealer.seal(header, payload).map_err(|why| refused(&why))
            }
            Some(known) if known.cipher > self.id => Err(refused("a newer key is in use")),
            _ => keyed
                .insert(self.keyed(nonce, header)?)
                .sealer
                .seal(header, payload)
                .map_err(|why| refused(&why)),
        }
    }

    fn keyed(&self, nonce: &[u8], header: &[u8]) -> Result<Keyed, CryptoError> {
        let expected = CryptoError::InvalidNonceLength { expected: 12, actual: nonce.len() };
        let salt = Sealer::salt_of(nonce, header).ok_or(expected)?;
        let sealer = Sealer::new(self.algorithm, self.key.as_ref(), salt).map_err(|why| refused(&why))?;
        Ok(Keyed { cipher: self.id, sealer })
    }
}

fn refused(why: &(impl ToString + ?Sized)) -> CryptoError {
    CryptoError::Provider(why.to_string())
}
