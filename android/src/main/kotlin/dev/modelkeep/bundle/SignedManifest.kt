package dev.modelkeep.bundle

import dev.modelkeep.Now
import dev.modelkeep.SignatureError
import dev.modelkeep.TamperedError
import dev.modelkeep.Verifier
import dev.modelkeep.container.Container
import dev.modelkeep.container.Names
import dev.modelkeep.document.Coverage
import dev.modelkeep.document.Manifest
import dev.modelkeep.document.SignerId
import dev.modelkeep.sha256

/**
 * A manifest that somebody trusted signed, and that the verifier's policy accepts: the first checks of everything
 * that is opened. Source: spec/bundle-v1.md, section 10, steps 2 to 4.
 *
 * @property bytes the manifest as it was signed.
 * @property signature the signature document as it was received.
 * @property secondSignature a further one as it was received, verified where it is demanded; or null.
 * @property resources SHA-256 of every file that the statement lists, by name.
 * @property signer who signed.
 * @property now the times that count.
 */
internal class SignedManifest private constructor(
    val manifest: Manifest,
    val bytes: ByteArray,
    val signature: ByteArray,
    val secondSignature: ByteArray?,
    val resources: Map<String, ByteArray>,
    val signer: SignerId,
    val now: Now,
) {
    companion object {
        fun verify(container: Container, verifier: Verifier): SignedManifest {
            if (Names.SIGNATURE !in container.sizes) {
                throw SignatureError("the bundle is not signed", "seal it with a signer")
            }
            val bytes = container.read(Names.MANIFEST)
            val signature = container.read(Names.SIGNATURE)
            val second = if (Names.SECOND_SIGNATURE in container.sizes) container.read(Names.SECOND_SIGNATURE) else null
            val statement = verifier.verifyStatement(signature, second)
            if (!sha256(bytes).contentEquals(statement.resources[Names.MANIFEST])) {
                throw TamperedError("manifest.json is not the one that was signed")
            }
            val manifest = Manifest.parse(bytes)
            checkCoverage(manifest, statement.resources.keys)
            verifier.check(manifest, statement.signer)
            val now = verifier.now(manifest)
            return SignedManifest(manifest, bytes, signature, second, statement.resources, statement.signer, now)
        }

        // The statement's own ignore_paths have no say: what is listed must be exactly what the manifest announces.
        private fun checkCoverage(manifest: Manifest, listed: Set<String>) {
            val isWhole = manifest.coverage == Coverage.FILES
            val expected = if (isWhole) Names.signedFiles(manifest.members.size) else setOf(Names.MANIFEST)
            if (listed != expected) throw SignatureError("the signature covers other files than the bundle has")
        }
    }
}
