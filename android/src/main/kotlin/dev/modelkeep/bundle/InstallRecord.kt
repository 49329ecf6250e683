package dev.modelkeep.bundle

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.document.Suite
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.keys.Constraints
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import kotlin.io.encoding.Base64

/**
 * What is bound to the install key. Source: spec/install-v1.md, section 2.
 *
 * @property installation 16 random bytes.
 * @property manifest SHA-256 of the publisher's manifest.
 * @property constraints what the grant demands, at every open.
 */
internal class InstallHeader(
    val installation: ByteArray,
    val manifest: ByteArray,
    val model: String,
    val epoch: Long,
    val suite: Suite,
    val constraints: Constraints,
    val deviceId: String,
) {
    /** Returns the same header with another end. */
    fun renewed(notAfter: Long): InstallHeader {
        val changed = Constraints(constraints.notBefore, notAfter, constraints.posture, constraints.delegate)
        return InstallHeader(installation, manifest, model, epoch, suite, changed, deviceId)
    }

    fun toBytes(): ByteArray = CanonicalJson.encode(
        mapOf(
            "constraints" to constraints.toJson(),
            "device_id" to deviceId,
            "epoch" to epoch,
            "format" to FORMAT,
            "installation" to installation.toHexadecimal(),
            "manifest" to manifest.toHexadecimal(),
            "model" to model,
            "suite" to suite.name,
            "version" to 1L,
        ),
    )

    companion object {
        private const val FORMAT = "modelkeep/install"

        /** Parses a header; it is authentic only when the install key unwraps under it. */
        fun parse(data: ByteArray): InstallHeader =
            Record.read(CanonicalJson.decode(data, "install header"), "install header") {
                checkVersion(this)
                InstallHeader(
                    hexadecimal("installation", 16),
                    hexadecimal("manifest", 32),
                    text("model"),
                    integer("epoch"),
                    choice("suite", Suite.values().associateBy { it.name }),
                    Constraints.read(anything("constraints")),
                    text("device_id", 64),
                )
            }

        private fun checkVersion(record: Record) {
            if (record.text("format") != FORMAT) throw MalformedError("install header: wrong format")
            val version = record.integer("version")
            if (version != 1L) {
                val problem = "install header: version $version is not supported"
                throw UnsupportedVersionError(problem, "update modelkeep")
            }
        }
    }
}

/** The file `install.json`: a header, exactly as it was written, and the install key that is wrapped under it. */
internal class InstallRecord(val headerBytes: ByteArray, val wrapped: ByteArray) {
    val header: InstallHeader = InstallHeader.parse(headerBytes)

    fun toBytes(): ByteArray = CanonicalJson.encode(
        mapOf("header" to Base64.encode(headerBytes), "wrapped" to Base64.encode(wrapped)),
    )

    companion object {
        private const val LARGEST = 65_536

        fun parse(data: ByteArray): InstallRecord {
            val (header, wrapped) = Record.read(CanonicalJson.decode(data, "install record"), "install record") {
                base64("header", LARGEST) to base64("wrapped", LARGEST)
            }
            return InstallRecord(header, wrapped)
        }

        /** Returns what the install key is bound to. */
        fun context(headerBytes: ByteArray): ByteArray =
            "modelkeep/v1/install".encodeToByteArray() + sha256(headerBytes)
    }
}
