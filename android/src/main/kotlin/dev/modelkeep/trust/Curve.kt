package dev.modelkeep.trust

import java.math.BigInteger
import java.security.spec.ECFieldFp
import java.security.spec.ECParameterSpec
import java.security.spec.ECPoint
import java.security.spec.EllipticCurve

/**
 * The curves of keys that sign or agree, written down: providers before API 26 do not know curves by their names.
 * Source: FIPS 186-4, section D.1.2. On all of them a is -3 and the cofactor is 1.
 *
 * @property signature what a provider calls ECDSA on this curve, with the hash that goes with it.
 */
internal enum class Curve(val signature: String, prime: String, b: String, x: String, y: String, order: String) {
    P256(
        "SHA256withECDSA",
        "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ),
    P384(
        "SHA384withECDSA",
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
        "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
        "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
    P521(
        "SHA512withECDSA",
        "01ff" + "ffff".repeat(32),
        "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1" +
            "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
        "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba" +
            "a14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
        "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c" +
            "97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
        "01ff" + "ffff".repeat(15) + "fffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    );

    private val prime = BigInteger(prime, HEXADECIMAL)
    private val b = BigInteger(b, HEXADECIMAL)

    val parameters: ECParameterSpec = ECParameterSpec(
        EllipticCurve(ECFieldFp(this.prime), this.prime - THREE, this.b),
        ECPoint(BigInteger(x, HEXADECIMAL), BigInteger(y, HEXADECIMAL)),
        BigInteger(order, HEXADECIMAL),
        1,
    )

    /** Returns whether a point lies on the curve. Not every provider checks. */
    fun contains(x: BigInteger, y: BigInteger): Boolean {
        val isInField = x.signum() >= 0 && y.signum() >= 0 && x < prime && y < prime
        return isInField && y.pow(2).mod(prime) == (x.pow(3) - x * THREE + b).mod(prime)
    }

    companion object {
        /** Returns the curve with these parameters, or null. */
        fun of(parameters: ECParameterSpec): Curve? = values().firstOrNull {
            val own = it.parameters
            parameters.curve.field == own.curve.field && parameters.curve.a == own.curve.a &&
                parameters.curve.b == own.curve.b && parameters.generator == own.generator &&
                parameters.order == own.order && parameters.cofactor == own.cofactor
        }
    }
}

private const val HEXADECIMAL = 16
private val THREE = BigInteger.valueOf(3)
