package dev.modelkeep.platform

import java.io.File
import java.io.ObjectInputStream
import java.util.zip.GZIPInputStream
import org.codehaus.mojo.animal_sniffer.Clazz
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test
import org.objectweb.asm.ClassReader
import org.objectweb.asm.ClassVisitor
import org.objectweb.asm.MethodVisitor
import org.objectweb.asm.Opcodes

/** Every call into the platform exists on API 23, or stands in the list of those that are made from a later level on. */
@Tag("platform")
internal class ApiLevelTest {
    private val api23 = signatures(File("target/providers/api-23.signature"))

    @Test
    fun `what the library calls is there on API 23, or is guarded`() {
        val classes = File("target/classes").walk().filter { it.extension == "class" }
        val missing = classes.flatMap { calls(it.readBytes()) }.filterNot { it.target.isThere() || it.place in LATER }
        assertEquals(GUARDED.keys, missing.map { "${it.target} in ${it.place}" }.toSet())
    }

    private class Target(val owner: String, val member: String?) {
        override fun toString() = owner.substringAfterLast('/') + (member?.let { ".${it.substringBefore('(')}" } ?: "")
    }

    private class Call(val target: Target, val place: String)

    private fun Target.isThere(): Boolean {
        if (!owner.startsWith("android/") && !owner.startsWith("java")) return true
        val known = api23[owner] ?: return false
        if (member == null || member in known.signatures) return true
        val parents = listOfNotNull(known.superClass) + known.superInterfaces
        return parents.any { it in api23 && Target(it, member).isThere() }
    }

    private fun calls(code: ByteArray): List<Call> {
        val found = ArrayList<Call>()
        val reader = ClassReader(code)
        val place = reader.className.substringAfterLast('/').substringBefore('$')
        val visitor = object : MethodVisitor(Opcodes.ASM9) {
            override fun visitMethodInsn(opcode: Int, owner: String, name: String, type: String, isInterface: Boolean) {
                if (!owner.startsWith("[")) found += Call(Target(owner, name + type), place)
            }

            override fun visitFieldInsn(opcode: Int, owner: String, name: String, type: String) {
                found += Call(Target(owner, "$name#$type"), place)
            }

            override fun visitTypeInsn(opcode: Int, type: String) {
                if (!type.startsWith("[")) found += Call(Target(type, null), place)
            }
        }
        val methods = object : ClassVisitor(Opcodes.ASM9) {
            override fun visitMethod(
                access: Int, name: String, type: String, signature: String?, exceptions: Array<out String>?,
            ) = visitor
        }
        reader.accept(methods, 0)
        return found
    }

    private fun signatures(file: File): Map<String, Clazz> {
        val known = HashMap<String, Clazz>()
        ObjectInputStream(GZIPInputStream(file.inputStream())).use { input ->
            while (true) {
                val next = input.readObject() as Clazz? ?: break
                known[next.name] = next
            }
        }
        return known
    }

    private companion object {
        /** Classes of which nothing is called before the API level. */
        val LATER = mapOf("DevicePrompt" to 30)

        /** What is called, and where, to the API level from which on it is called. */
        val GUARDED = mapOf(
            "KeyGenParameterSpec\$Builder.setAttestationChallenge in Keystore" to 24,
            "SharedMemory in SharedRegion" to 27,
            "SharedMemory.create in SharedRegion" to 27,
            "SharedMemory.mapReadWrite in SharedRegion" to 27,
            "SharedMemory.unmap in SharedRegion" to 27,
            "KeyGenParameterSpec\$Builder.setIsStrongBoxBacked in Keystore" to 28,
            "KeyGenParameterSpec\$Builder.setUnlockedDeviceRequired in Keystore" to 28,
            "KeyGenParameterSpec\$Builder.setUserAuthenticationParameters in Keystore" to 30,
            "KeyInfo.getUserAuthenticationType in Keystore" to 30,
            "KeyInfo.getSecurityLevel in Keystore" to 31,
            "PackageManager.hasSystemFeature in KeystoreIdentity" to 24,
            "KeyStoreException in Keystore" to 33,
            "KeyStoreException.isTransientFailure in Keystore" to 33,
            "KeyStoreException.requiresUserAuthentication in Keystore" to 33,
        )
    }
}
