package dev.modelkeep.guard

import dev.modelkeep.Contract
import dev.modelkeep.Tensor
import dev.modelkeep.document.InputContracts
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource

/** The committed vectors of input contracts. */
internal class ContractVectorsTest {
    @ParameterizedTest
    @MethodSource("vectors")
    fun `every value gives its finding`(vector: Map<String, Any?>) {
        val contract = contract(vector)
        // Buffers hold neither text nor lists nor maps nor small floats: what cannot be checked must not run.
        val isChecked = contract.inputs.single().run { !isSequence && keys == null && dtype in Tensor.DTYPES }
        for (case in (vector["cases"] as List<*>).map { it as Map<*, *> }) {
            val value = case["value"] as Map<*, *>?
            val tensor = value?.let(::tensor) ?: if (value == null && case["finding"] == null) null else continue
            val found = ContractCheck.check(contract, tensor?.let { mapOf("x" to it) }.orEmpty()).map { it.code }
            assertEquals(if (isChecked) listOfNotNull(case["finding"]) else listOf("type"), found, "${vector["name"]}: $case")
        }
    }

    companion object {
        private fun contract(vector: Map<String, Any?>): Contract =
            Record.read(mapOf("inputs" to listOf(vector["input"])), "vector") { InputContracts.read(this) }!!

        private fun tensor(value: Map<*, *>): Tensor? {
            val dtype = value["dtype"]?.takeIf { it in Tensor.DTYPES } as String? ?: return null
            val data = (value["data"] as String).chunked(2).map { it.toInt(16).toByte() }.toByteArray()
            val shape = (value["shape"] as List<*>).map { (it as Long).toInt() }.toIntArray()
            return Tensor(dtype, shape, ByteBuffer.wrap(data).order(ByteOrder.nativeOrder()))
        }

        @JvmStatic
        fun vectors(): List<Map<String, Any?>> {
            // Keys of maps, which are passed over here, may be beyond what this library's JSON holds.
            val text = File("../vectors/v1/contracts.json").readText().replace(Regex("\\[\\s*-?[0-9]{17,},"), "[0,")
            @Suppress("UNCHECKED_CAST")
            return CanonicalJson.decodeLenient(text.encodeToByteArray(), "vectors") as List<Map<String, Any?>>
        }
    }
}
