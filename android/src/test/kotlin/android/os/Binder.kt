package android.os

import java.io.FileDescriptor

/** Takes the place of the framework's class, which needs native code: an object of this process, which nobody calls from another. */
open class Binder : IBinder {
    private var owner: IInterface? = null

    fun attachInterface(owner: IInterface?, @Suppress("UNUSED_PARAMETER") descriptor: String?) {
        this.owner = owner
    }

    override fun queryLocalInterface(descriptor: String): IInterface? = owner

    override fun getInterfaceDescriptor(): String? = null

    override fun pingBinder(): Boolean = true

    override fun isBinderAlive(): Boolean = true

    override fun transact(code: Int, data: Parcel, reply: Parcel?, flags: Int): Boolean = false

    override fun dump(descriptor: FileDescriptor, arguments: Array<out String>?) = Unit

    override fun dumpAsync(descriptor: FileDescriptor, arguments: Array<out String>?) = Unit

    override fun shellCommand(
        input: FileDescriptor?, output: FileDescriptor?, error: FileDescriptor?, arguments: Array<out String>, callback: ShellCallback?, result: ResultReceiver,
    ) = Unit

    override fun linkToDeath(recipient: IBinder.DeathRecipient, flags: Int) = Unit

    override fun unlinkToDeath(recipient: IBinder.DeathRecipient, flags: Int): Boolean = true

    companion object {
        @JvmStatic
        fun allowBlocking(binder: IBinder): IBinder = binder
    }
}
