package dev.modelkeep.document

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.json.bytesFromHexadecimal
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal

/** How payload segments are encrypted; [number] is bound into associated data. */
internal enum class Suite(val number: Int) {
    AES256_GCM_HKDF_1MB(1),
    CHACHA20_POLY1305_HKDF_1MB(2),
}

/** How segments and leaf lists are hashed. */
internal enum class LeafAlgorithm { BLAKE3, SHA256 }

/** Which files the statement of a signature lists. */
internal enum class Coverage { FILES, LEAVES }

/** One encrypted file: length of its plaintext, and the digest of its leaf list. */
internal class Member(val size: Long, val leaves: ByteArray)

/** The public description of a bundle. Source: spec/bundle-v1.md, section 3. */
internal class Manifest private constructor(record: Record) {
    val model: String = record.text("model")
    val bundle: ByteArray = record.hexadecimal("bundle", 16)
    val epoch: Long = record.integer("epoch")
    val sealedAt: Long = record.integer("sealed_at")
    val family: String = record.text("family", 1024)
    val release: String = record.text("release", 256)
    val suite: Suite = record.choice("suite", Suite.values().associateBy { it.name })
    val commitment: ByteArray = record.hexadecimal("commitment", 32)
    val leaf: LeafAlgorithm = record.choice("leaf", LeafAlgorithm.values().associateBy { it.name.lowercase() })
    val coverage: Coverage = record.choice("digest", Coverage.values().associateBy { it.name.lowercase() })
    val members: List<Member> = members(record)

    /** SubjectPublicKeyInfo (DER) of those who may sign grants; empty when grants need no signature. */
    val grantIssuers: List<ByteArray> = grantIssuers(record)

    /** Whose signature the model had before its publisher sealed it, in words; may be empty. */
    val upstream: String = upstream(record)

    val order: ReleaseOrder get() = ReleaseOrder(epoch, sealedAt)

    /** What people decide by, in 32 bytes: SHA-256 of canonical JSON; the commitment names it (section 7). */
    val binding: ByteArray
        get() = sha256(
            CanonicalJson.encode(
                mapOf(
                    "bundle" to bundle.toHexadecimal(),
                    "epoch" to epoch,
                    "family" to family,
                    "model" to model,
                    "release" to release,
                    "sealed_at" to sealedAt,
                ),
            ),
        )

    init {
        if (!MODEL_ID.matches(model)) throw record.fault("model", "is not a model id")
    }

    companion object {
        const val LARGEST = 1 shl 20
        private const val MOST_MEMBERS = 65_537
        private const val LARGEST_MEMBER = ((1L shl 32) - 1) * ((1L shl 20) - 16) - 40
        private const val MOST_GRANT_ISSUERS = 64
        private const val PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
        private val MODEL_ID = Regex("$PART(?:/$PART){0,7}")

        fun isModelId(text: String): Boolean = MODEL_ID.matches(text)

        /** Parses a manifest. The signature over [data] must have been verified before. */
        fun parse(data: ByteArray): Manifest {
            if (data.size > LARGEST) throw MalformedError("manifest: larger than 1 MiB")
            return Record.read(CanonicalJson.decode(data, "manifest"), "manifest") {
                checkVersion(this)
                Manifest(this)
            }
        }

        private fun checkVersion(record: Record) {
            if (record.text("format") != "modelkeep/bundle") {
                throw MalformedError("manifest: not a modelkeep bundle")
            }
            val version = record.integer("version")
            if (version != 1L) {
                val problem = "manifest: format version $version is not supported"
                throw UnsupportedVersionError(problem, "update modelkeep")
            }
        }

        private fun members(record: Record): List<Member> {
            val items = record.items("members", MOST_MEMBERS)
            if (items.size < 2) {
                throw record.fault("members", "must list the inner manifest and at least one file")
            }
            return items.map {
                Record.read(it, "manifest: member") {
                    Member(integer("size", highest = LARGEST_MEMBER), hexadecimal("leaves", 32))
                }
            }
        }

        private fun upstream(record: Record): String {
            if ("upstream" !in record) return ""
            val upstream = record.text("upstream", 1024)
            if (upstream.isEmpty()) throw record.fault("upstream", "must not be empty when present")
            return upstream
        }

        private fun grantIssuers(record: Record): List<ByteArray> {
            if ("grant_issuers" !in record) return emptyList()
            val items = record.items("grant_issuers", MOST_GRANT_ISSUERS)
            if (items.isEmpty()) throw record.fault("grant_issuers", "must not be empty when present")
            return items.map { item ->
                (item as? String)?.takeIf { it.length <= 1024 }?.let(::bytesFromHexadecimal)
                    ?: throw record.fault("grant_issuers", "must list public keys in lower-case hexadecimal")
            }
        }
    }
}
