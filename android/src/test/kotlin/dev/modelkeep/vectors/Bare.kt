package dev.modelkeep.vectors

import dev.modelkeep.document.LeafAlgorithm
import dev.modelkeep.memory.ModelMemory
import dev.modelkeep.payload.LeafDigest
import dev.modelkeep.payload.OrderedDigest
import dev.modelkeep.payload.StreamLayout
import dev.modelkeep.payload.onThreads
import dev.modelkeep.payload.threadCount
import dev.modelkeep.wipe
import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import javax.crypto.Cipher
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

/**
 * The least that opening and installing can take here: as many bytes, by the same provider, on the same threads, into the same
 * kind of memory; without keys, signatures, states and comparisons. What is read is one segment, many times.
 *
 * @param leaf what hashes the segments, or null for what opens an installation.
 */
internal class Bare(private val folder: File, private val segments: Int, private val leaf: LeafAlgorithm?) {
    private val sealed = File(folder, "bare.sealed")

    init {
        val segment = newCipher(Cipher.ENCRYPT_MODE).doFinal(ByteArray(SIZE))
        sealed.outputStream().use { file -> repeat(segments) { file.write(segment) } }
    }

    /** Reads, hashes and decrypts into new memory, which is overwritten. */
    fun open() = ModelMemory.allocate(SIZE.toLong() * segments, apiLevel = 27).use { memory ->
        forEachSegment {
            { index, input -> newCipher(Cipher.DECRYPT_MODE).doFinal(input, memory.target.part(SIZE.toLong() * index, SIZE)) }
        }
    }

    /** Reads, hashes twice, decrypts, encrypts, and writes into a new file, which is synced. */
    fun install() {
        val target = File(folder, "bare.installed")
        val whole = OrderedDigest(ByteArray(0))
        RandomAccessFile(target, "rw").use { file ->
            forEachSegment {
                val resealer = Resealer(file.channel)
                return@forEachSegment { index, input ->
                    whole.update(index, input)
                    resealer.take(index, input)
                }
            }
            file.channel.force(true)
        }
        target.delete()
    }

    private fun forEachSegment(newUser: () -> (index: Int, input: ByteBuffer) -> Unit) = FileChannel.open(sealed.toPath()).use { file ->
        onThreads(threadCount(segments)) { next ->
            val input = ByteBuffer.allocateDirect(StreamLayout.SEGMENT)
            val digest = leaf?.let(LeafDigest::of)
            val user = newUser()
            generateSequence(next).takeWhile { it < segments }.forEach { index ->
                input.clear()
                file.read(input, index.toLong() * StreamLayout.SEGMENT)
                input.flip()
                digest?.of(input)
                user(index, input)
            }
        }
    }

    private class Resealer(private val file: FileChannel) {
        private val plain = ByteBuffer.allocateDirect(SIZE)
        private val output = ByteBuffer.allocateDirect(StreamLayout.SEGMENT)

        fun take(index: Int, input: ByteBuffer) {
            plain.clear()
            output.clear()
            newCipher(Cipher.DECRYPT_MODE).doFinal(input, plain)
            plain.flip()
            newCipher(Cipher.ENCRYPT_MODE).doFinal(plain, output)
            output.flip()
            file.write(output, index.toLong() * StreamLayout.SEGMENT)
            plain.wipe()
        }
    }

    companion object {
        private const val SIZE = StreamLayout.SEGMENT - StreamLayout.TAG
        private val KEY = SecretKeySpec(ByteArray(32), "AES")

        /** Prints what the pieces take alone, the first time and then: ns of the processors for each byte. */
        fun printPieces(megabytes: Int) {
            val input = ByteBuffer.allocateDirect(StreamLayout.SEGMENT)
            newCipher(Cipher.ENCRYPT_MODE).doFinal(ByteBuffer.allocate(SIZE), input)
            val plain = ByteBuffer.allocateDirect(SIZE)
            piece("AES-GCM", megabytes) {
                input.clear()
                plain.clear()
                newCipher(Cipher.DECRYPT_MODE).doFinal(input, plain)
            }
            for (leaf in LeafAlgorithm.entries) {
                val digest = LeafDigest.of(leaf)
                piece(leaf.name, megabytes) { digest.of(input.clear()) }
            }
            piece("new memory", megabytes) { ModelMemory.allocate(StreamLayout.SEGMENT.toLong(), apiLevel = 27).writable().put(input.clear()) }
            piece("overwriting", megabytes) { plain.wipe() }
            println()
        }

        private fun piece(name: String, megabytes: Int, action: () -> Unit) {
            val rounds = List(ROUNDS) { Measured.of { repeat(megabytes) { action() } }.busy / megabytes / StreamLayout.SEGMENT * 1e9 }
            print("  %s %.2f, then %.2f;".format(name, rounds.first(), rounds.drop(ROUNDS / 2).sorted()[ROUNDS / 4]))
        }

        private const val ROUNDS = 8

        private fun newCipher(mode: Int): Cipher =
            Cipher.getInstance("AES/GCM/NoPadding").apply { init(mode, KEY, GCMParameterSpec(8 * StreamLayout.TAG, ByteArray(12))) }
    }
}
