package dev.modelkeep.fake

import android.content.Context
import android.content.ContextWrapper
import android.content.pm.PackageManager
import android.content.res.Resources
import java.io.File
import java.util.concurrent.Executor
import org.objectweb.asm.ClassWriter
import org.objectweb.asm.Opcodes

/**
 * What the library asks of an app: its own folder, what the device can do, and words for the prompt.
 *
 * @param keystore version of `FEATURE_HARDWARE_KEYSTORE`, 0 where the device does not have the feature.
 */
internal class FakeContext(private val folder: File, private val keystore: Int = 300) : ContextWrapper(null) {
    /** Takes what the framework wants done on the main thread; does it at once. */
    private val main = Executor(Runnable::run)

    override fun getPackageManager(): PackageManager = PACKAGE_MANAGER.apply { javaClass.getField("version").setInt(this, keystore) }

    override fun getNoBackupFilesDir(): File = folder

    override fun getMainExecutor(): Executor = main

    override fun getResources(): Resources = Words()

    override fun getPackageName(): String = "com.example"

    override fun getOpPackageName(): String = packageName

    override fun getUserId(): Int = 0

    override fun getApplicationContext(): Context = this

    private class Words : Resources(null as ClassLoader?) {
        override fun getText(id: Int): CharSequence = "text"

        override fun getString(id: Int): String = "text"
    }

    private companion object {
        val PACKAGE_MANAGER: PackageManager = packageManager()

        /**
         * Makes a package manager that knows one answer. A class in bytecode may leave out the hundreds of abstract methods that nobody calls:
         *
         *     class Features : PackageManager() { @JvmField var version = 0; fun hasSystemFeature(name: String, version: Int) = version <= this.version }
         */
        fun packageManager(): PackageManager {
            val parent = PackageManager::class.java.name.replace('.', '/')
            val writer = ClassWriter(ClassWriter.COMPUTE_FRAMES or ClassWriter.COMPUTE_MAXS)
            writer.visit(Opcodes.V1_6, Opcodes.ACC_PUBLIC, NAME, null, parent, null)
            writer.visitField(Opcodes.ACC_PUBLIC, "version", "I", null, null)
            constructor(writer, parent)
            hasSystemFeature(writer)
            val code = writer.toByteArray()
            val loader = object : ClassLoader(PackageManager::class.java.classLoader) {
                fun define() = defineClass(NAME, code, 0, code.size)
            }
            return loader.define().getDeclaredConstructor().newInstance() as PackageManager
        }

        private const val NAME = "Features"

        private fun constructor(writer: ClassWriter, parent: String) = writer.visitMethod(Opcodes.ACC_PUBLIC, "<init>", "()V", null, null).run {
            visitVarInsn(Opcodes.ALOAD, 0)
            visitMethodInsn(Opcodes.INVOKESPECIAL, parent, "<init>", "()V", false)
            visitInsn(Opcodes.RETURN)
            visitMaxs(0, 0)
        }

        private fun hasSystemFeature(writer: ClassWriter) =
            writer.visitMethod(Opcodes.ACC_PUBLIC, "hasSystemFeature", "(Ljava/lang/String;I)Z", null, null).run {
                // Not negative is true: (this.version - version) without its sign, turned round.
                visitVarInsn(Opcodes.ALOAD, 0)
                visitFieldInsn(Opcodes.GETFIELD, NAME, "version", "I")
                visitVarInsn(Opcodes.ILOAD, 2)
                visitInsn(Opcodes.ISUB)
                visitIntInsn(Opcodes.BIPUSH, 31)
                visitInsn(Opcodes.IUSHR)
                visitInsn(Opcodes.ICONST_1)
                visitInsn(Opcodes.IXOR)
                visitInsn(Opcodes.IRETURN)
                visitMaxs(0, 0)
            }
    }
}
