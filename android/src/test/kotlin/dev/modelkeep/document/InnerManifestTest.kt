package dev.modelkeep.document

import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.vectors.Refused
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/** What a signed description of a model may say, and what is refused although a publisher signed it. */
internal class InnerManifestTest {
    private val input = mapOf("name" to "x", "dtype" to "float32", "shape" to listOf(null, 4L), "finite" to true, "maximum_bytes" to 64L)
    private val golden = mapOf("cases" to 1L, "absolute" to ONE, "relative" to "0x0.0p+0", "path" to "golden.npz")
    private val document = mapOf(
        "format" to "modelkeep/inner", "version" to 1L, "model_format" to "tflite", "entry" to "a/model.tflite",
        "files" to files("a/model.tflite", "golden.npz"), "inputs" to listOf(input),
    )

    private fun files(vararg paths: String) = paths.map { mapOf("digest" to "00".repeat(32), "path" to it) }

    private fun with(vararg changes: Pair<String, Any?>) = document + changes

    private fun withInput(vararg changes: Pair<String, Any?>) = with("inputs" to listOf(input + changes))

    private fun withGolden(vararg changes: Pair<String, Any?>) = with("golden" to golden + changes)

    private fun withRange(vararg members: Pair<String, Any?>) = withGolden("ranges" to listOf(mapOf("name" to "y") + members))

    private fun parse(data: ByteArray) = InnerManifest.parse(data)

    private fun parse(members: Map<String, Any?>) = parse(CanonicalJson.encode(members))

    @Test
    fun `everything that a model may say is read`() {
        val other = mapOf("entry" to "a/model.tflite", "model_format" to "tflite", "function" to "train", "inputs" to listOf(input))
        val whole = with(
            "function" to "serve", "others" to listOf(other),
            "golden" to golden + mapOf(
                "latency" to ONE, "guard" to true, "ranges" to listOf(mapOf("name" to "y", "minimum" to "-$ONE", "maximum" to ONE)),
            ),
            "inputs" to listOf(
                input + mapOf("minimum" to "-0x0.0p+0", "maximum" to "0x0.0000000000001p-1022"),
                input + mapOf("name" to "y", "shape" to null, "empty" to true, "optional" to true),
                input + mapOf("name" to "z", "sequence" to true, "keys" to "int64", "quantization" to mapOf("scale" to ONE, "zero_point" to -3L)),
            ),
        )
        val read = parse(whole)
        assertEquals(listOf("a/model.tflite#serve", "a/model.tflite#train"), read.entries.map { it.name })
        assertEquals(listOf(1 to "a/model.tflite"), read.modelFiles())
        val (first, second, third) = read.entries[0].contract!!.inputs
        assertEquals(listOf(-0.0, java.lang.Double.MIN_VALUE, null), listOf(first.minimum, first.maximum, second.shape))
        assertEquals(listOf(true, true, "int64", -3L), listOf(second.mayBeEmpty, second.isOptional, third.keys, third.quantization?.zeroPoint))
    }

    @Test
    fun `a model with a guard is not opened where nothing can guard it`() {
        Refused("a guard, which is not supported on Android", with("guard" to mapOf("path" to "guard")), UnsupportedVersionError::class.java).check(::parse)
    }

    @Test
    fun `what is not this format is refused`() {
        Refused("wrong format", with("format" to "modelkeep/bundle")).check(::parse)
        Refused("version 2", with("version" to 2L), UnsupportedVersionError::class.java).check(::parse)
        Refused("'stranger' is not known", with("stranger" to 1L)).check(::parse)
        Refused("'ext' must be an object", with("ext" to 1L)).check(::parse)
        Refused("'model_format' is not a format name", with("model_format" to "TFLite")).check(::parse)
    }

    @Test
    fun `paths lead nowhere else, and are one for each file`() {
        val odd = listOf("", "/a", "a/", "a//b", "./a", "a/../b", "a\\b", "a\u0000", "a\u0085b", "é".repeat(513))
        for (path in odd) Refused("not a file name for a model", with("files" to files("a/model.tflite", path))).check(::parse)
        Refused("names a file twice", with("files" to files("a/model.tflite", "b", "b"))).check(::parse)
        Refused("one name for a file and a folder", with("files" to files("a/model.tflite", "a"))).check(::parse)
    }

    @Test
    fun `every entry is a file, and no two are the same`() {
        val same = mapOf("entry" to "a/model.tflite", "model_format" to "tflite")
        Refused("'entry' names no file", with("entry" to "b")).check(::parse)
        Refused("'entry' names no file", with("others" to listOf(same + ("entry" to "b")))).check(::parse)
        for (others in listOf(emptyList(), listOf(same), listOf(same + ("function" to "f"), same + ("function" to "f")))) {
            Refused("names an entry twice", with("others" to others)).check(::parse)
        }
        Refused("goes without a first one", with("others" to listOf(same)) - "entry").check(::parse)
        Refused("goes without a first one", with("function" to "f") - "entry").check(::parse)
        assertEquals(emptyList<Any>(), parse(document - "entry").entries)
    }

    @Test
    fun `golden vectors name a file of their own, and tolerances`() {
        Refused("goes without an entry", withGolden() - "entry").check(::parse)
        for (path in listOf("absent", "a/model.tflite")) Refused("names no file, or one of the model's", withGolden("path" to path)).check(::parse)
        Refused("'absolute' is missing", with("golden" to golden - "absolute")).check(::parse)
        Refused("'relative' is less than 0", withGolden("relative" to "-$ONE")).check(::parse)
        Refused("'latency' is less than 0", withGolden("latency" to "-$ONE")).check(::parse)
        Refused("'cases' must be an integer", withGolden("cases" to 0L)).check(::parse)
        Refused("'guard' is left out where it is false", withGolden("guard" to false)).check(::parse)
        Refused("'ranges' must not be empty", withGolden("ranges" to emptyList<Any>())).check(::parse)
        Refused("are no range", withRange()).check(::parse)
        Refused("are no range", withRange("minimum" to ONE, "maximum" to "-$ONE")).check(::parse)
    }

    @Test
    fun `contracts of inputs are exact`() {
        Refused("names an input twice", with("inputs" to listOf(input, input))).check(::parse)
        Refused("'dtype' is 'float128'", withInput("dtype" to "float128")).check(::parse)
        Refused("'keys' is 'int32'", withInput("keys" to "int32")).check(::parse)
        Refused("'finite' must be true or false", withInput("finite" to 1L)).check(::parse)
        Refused("'maximum_bytes' must be an integer", withInput("maximum_bytes" to -1L)).check(::parse)
        for (name in listOf("empty", "optional", "sequence")) Refused("'$name' is left out where it is false", withInput(name to false)).check(::parse)
        Refused("'scale' is missing", withInput("quantization" to mapOf("zero_point" to 0L))).check(::parse)
        for (shape in listOf("x", List(65) { 1L })) Refused("must be null or an array", withInput("shape" to shape)).check(::parse)
        for (length in listOf(-1L, "4")) Refused("integers that are not negative", withInput("shape" to listOf(length))).check(::parse)
    }

    @Test
    fun `a float has one spelling`() {
        val odd = listOf("1.0", "0x1p0", "0x1.0p+0 ", "0x1.8p+0", "0x1.0000000000000p+01", "0x1.0000000000000p+1024", "0x0.1000000000000p+0", "nan", "inf")
        for (text in odd) Refused("is not a finite float in canonical hexadecimal form", withInput("minimum" to text)).check(::parse)
        Refused("'minimum' must be a string", withInput("minimum" to 1L)).check(::parse)
    }

    private companion object {
        const val ONE = "0x1.0000000000000p+0"
    }
}
