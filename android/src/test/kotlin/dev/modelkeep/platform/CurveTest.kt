package dev.modelkeep.platform

import dev.modelkeep.trust.Curve
import java.math.BigInteger
import java.security.AlgorithmParameters
import java.security.spec.ECGenParameterSpec
import java.security.spec.ECParameterSpec
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource

internal class CurveTest {
    @ParameterizedTest
    @EnumSource
    fun `the constants are those that OpenJDK knows by name`(curve: Curve) {
        val named = AlgorithmParameters.getInstance("EC", "SunEC").run {
            init(ECGenParameterSpec("secp${curve.name.drop(1)}r1"))
            getParameterSpec(ECParameterSpec::class.java)
        }
        assertEquals(curve, Curve.of(named))
        assertEquals(named.curve, curve.parameters.curve)
        assertEquals(named.cofactor, curve.parameters.cofactor)
    }

    @ParameterizedTest
    @EnumSource
    fun `only points of the curve count`(curve: Curve) {
        val generator = curve.parameters.generator
        assertTrue(curve.contains(generator.affineX, generator.affineY))
        assertFalse(curve.contains(generator.affineX, generator.affineY + BigInteger.ONE))
        assertFalse(curve.contains(generator.affineX.negate(), generator.affineY))
    }
}
