package dev.modelkeep.fake

import android.security.keystore.KeyProperties
import android.security.keystore.KeyProtection
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.keys.P256
import java.io.ByteArrayInputStream
import java.security.KeyFactory
import java.security.KeyPair
import java.security.KeyStore
import java.security.cert.CertificateFactory
import java.security.interfaces.ECPrivateKey
import java.security.spec.PKCS8EncodedKeySpec
import java.util.Base64

/** Keys that were made elsewhere. */
internal object SoftwareKeys {
    /** Returns the pair in a PKCS #8 document that ends with the public point, as OpenSSL writes it. */
    fun pair(pkcs8: ByteArray): KeyPair {
        val point = pkcs8.copyOfRange(pkcs8.size - P256.POINT, pkcs8.size)
        val private = KeyFactory.getInstance("EC", "SunEC").generatePrivate(PKCS8EncodedKeySpec(pkcs8))
        return KeyPair(P256.decode(point), private)
    }

    /** Imports a P-256 key in PEM into the phone's Keystore and opens it there; null for keys of other kinds. */
    fun intoKeystore(pem: String, alias: String): KeystoreIdentity? {
        // Before the block may stand what the key is for.
        val block = pem.lines().dropWhile { !it.startsWith("-----BEGIN") }.takeWhile { !it.startsWith("-----END") }
        val body = block.drop(1).joinToString("")
        val pkcs8 = Base64.getDecoder().decode(body)
        // The object identifier of P-256.
        if ("2a8648ce3d030107" !in pkcs8.joinToString("") { "%02x".format(it) }) return null
        val pair = pair(pkcs8)
        val certificate = CertificateFactory.getInstance("X.509")
            .generateCertificate(ByteArrayInputStream(Der.certificate(pair.public, 1, null)))
        val store = KeyStore.getInstance("AndroidKeyStore").apply { load(null) }
        val entry = KeyStore.PrivateKeyEntry(Encoded(pair.private as ECPrivateKey, pkcs8), arrayOf(certificate))
        store.setEntry(alias, entry, KeyProtection.Builder(KeyProperties.PURPOSE_AGREE_KEY).build())
        return KeystoreIdentity.open(alias) {}
    }

    /** A private key that encodes to the document it came from, public point included. */
    private class Encoded(key: ECPrivateKey, private val pkcs8: ByteArray) :
        ECPrivateKey by key {
        override fun getEncoded(): ByteArray = pkcs8
    }
}
