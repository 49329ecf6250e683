package dev.modelkeep.guard

import dev.modelkeep.Contract
import dev.modelkeep.Finding
import dev.modelkeep.Tensor
import dev.modelkeep.TensorContract

/**
 * Whether inputs keep a model's contract: exact checks, from the cheapest to the dearest, and at most one
 * finding for each input. Source: spec/bundle-v1.md, section 9.
 */
internal object ContractCheck {
    private val FLOATS = setOf("float16", "bfloat16", "float32", "float64", "complex64", "complex128")

    fun check(contract: Contract, inputs: Map<String, Tensor>): List<Finding> {
        val known = contract.inputs.map { it.name }
        val faults = contract.inputs.mapNotNull { fault(it, inputs[it.name]) }
        val expected = known.joinToString().ifEmpty { "no inputs" }
        val strangers = inputs.keys.filter { it !in known }.sorted()
        return faults + strangers.map { Finding("unexpected", it, expected, "an input of this name") }
    }

    private fun fault(contract: TensorContract, tensor: Tensor?): Finding? {
        if (tensor == null && contract.isOptional) return null
        if (tensor == null) return Finding("missing", contract.name, "a ${contract.dtype} tensor", "nothing")
        return dtypeFault(contract, tensor) ?: shapeFault(contract, tensor) ?: valueFault(contract, tensor)
    }

    private fun dtypeFault(contract: TensorContract, tensor: Tensor): Finding? {
        val name = contract.name
        // Buffers hold neither text nor lists nor maps; what cannot be checked must not run.
        val isTensor = !contract.isSequence && contract.keys == null && contract.dtype in Tensor.DTYPES
        if (!isTensor) return Finding("type", name, "an input that can be checked here", "text, a list or a map")
        if (tensor.dtype != contract.dtype) return Finding("dtype", name, contract.dtype, tensor.dtype)
        if (tensor.isNative) return null
        return Finding("byte-order", name, "native byte order", "swapped byte order")
    }

    private fun shapeFault(contract: TensorContract, tensor: Tensor): Finding? {
        val found = tensor.shape.joinToString(", ", "(", ")")
        val mayBeEmpty = contract.mayBeEmpty || contract.shape?.contains(0L) == true
        if (tensor.count == 0L && !mayBeEmpty) return Finding("shape", contract.name, "at least one element", found)
        if (tensor.byteCount != tensor.bytes.toLong()) {
            val expected = "${tensor.byteCount} bytes for shape $found"
            return Finding("shape", contract.name, expected, "${tensor.bytes} bytes")
        }
        val shape = contract.shape ?: return null
        val expected = shape.joinToString(", ", "(", ")") { it?.toString() ?: "any" }
        if (shape.size != tensor.shape.size) {
            return Finding("rank", contract.name, "rank ${shape.size}, $expected", "rank ${tensor.shape.size}, $found")
        }
        val pairs = shape.zip(tensor.shape.asList())
        if (pairs.all { (length, actual) -> length == null || length == actual.toLong() }) return null
        val code = if (fitsPermuted(shape, tensor.shape.asList())) "layout" else "shape"
        return Finding(code, contract.name, expected, found)
    }

    /** Returns whether the axes in another order would fit: the usual mistake with images. */
    private fun fitsPermuted(expected: List<Long?>, found: List<Int>): Boolean {
        val left = found.map { it.toLong() }.toMutableList()
        return expected.filterNotNull().all(left::remove)
    }

    private fun valueFault(contract: TensorContract, tensor: Tensor): Finding? {
        if (tensor.byteCount > contract.maximumBytes) {
            val expected = "at most ${contract.maximumBytes} bytes"
            return Finding("size", contract.name, expected, "${tensor.byteCount} bytes")
        }
        val (lowest, highest) = bounds(contract)
        val isBounded = lowest != Double.NEGATIVE_INFINITY || highest != Double.POSITIVE_INFINITY
        val mustBeFinite = contract.finite && contract.dtype in FLOATS
        if (!mustBeFinite && !isBounded) return null
        val extremes = Extremes.of(tensor)
        if (mustBeFinite && extremes.notFinite > 0) {
            val found = "${extremes.notFinite} NaN or infinite"
            return Finding("not-finite", contract.name, "finite numbers", found)
        }
        val sides = listOfNotNull(
            "below".takeIf { extremes.isBelow(lowest) },
            "above".takeIf { extremes.isAbove(highest) },
        )
        if (sides.isEmpty()) return null
        return Finding("range", contract.name, "from $lowest to $highest", "values ${sides.joinToString(" and ")}")
    }

    private fun bounds(contract: TensorContract): Pair<Double, Double> {
        if (contract.dtype == "bool") return 0.0 to 1.0
        val lowest = contract.minimum?.let { Rounding.to(contract.dtype, it) } ?: Double.NEGATIVE_INFINITY
        val highest = contract.maximum?.let { Rounding.to(contract.dtype, it) } ?: Double.POSITIVE_INFINITY
        return lowest to highest
    }
}
