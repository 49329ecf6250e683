package dev.modelkeep.keys

import dev.modelkeep.platform
import dev.modelkeep.trust.Curve
import java.math.BigInteger
import java.security.KeyFactory
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.PrivateKey
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.security.spec.ECPoint
import java.security.spec.ECPublicKeySpec
import javax.crypto.KeyAgreement

/** A P-256 private key that can do ECDH, wherever it is. */
internal interface AgreementKey {
    /** The uncompressed point, 65 bytes. */
    val publicValue: ByteArray

    /** Returns the x coordinate of the shared point: 32 bytes, leading zeros kept. */
    fun agree(peer: ECPublicKey): ByteArray
}

/** A P-256 private key in memory. */
internal class SoftwareKey(private val privateKey: PrivateKey, override val publicValue: ByteArray) : AgreementKey {
    constructor(pair: KeyPair) : this(pair.private, P256.encode(pair.public as ECPublicKey))

    override fun agree(peer: ECPublicKey): ByteArray =
        platform {
            KeyAgreement.getInstance("ECDH").run {
                init(privateKey)
                doPhase(peer, true)
                generateSecret()
            }
        }
}

/** The curve P-256 (FIPS 186-4) and its points as 65 bytes (SEC 1, uncompressed). */
internal object P256 {
    const val POINT = 65
    private const val COORDINATE = 32
    private const val UNCOMPRESSED: Byte = 4

    fun generate(): KeyPair =
        platform {
            KeyPairGenerator.getInstance("EC").run {
                initialize(ECGenParameterSpec("secp256r1"))
                generateKeyPair()
            }
        }

    fun encode(key: ECPublicKey): ByteArray =
        byteArrayOf(UNCOMPRESSED) + coordinate(key.w.affineX) + coordinate(key.w.affineY)

    /** Returns the public key at a point, or null unless the point lies on the curve. */
    fun decode(point: ByteArray): ECPublicKey? {
        if (point.size != POINT || point[0] != UNCOMPRESSED) return null
        val x = BigInteger(1, point.copyOfRange(1, 1 + COORDINATE))
        val y = BigInteger(1, point.copyOfRange(1 + COORDINATE, POINT))
        // A point off the curve gives the private key away bit by bit.
        if (!Curve.P256.contains(x, y)) return null
        val spec = ECPublicKeySpec(ECPoint(x, y), Curve.P256.parameters)
        return platform { KeyFactory.getInstance("EC").generatePublic(spec) as ECPublicKey }
    }

    private fun coordinate(value: BigInteger): ByteArray {
        val bytes = value.toByteArray()
        // BigInteger adds a sign byte and drops leading zeros.
        return ByteArray(COORDINATE) { bytes.getOrElse(bytes.size - COORDINATE + it) { 0 } }
    }
}
