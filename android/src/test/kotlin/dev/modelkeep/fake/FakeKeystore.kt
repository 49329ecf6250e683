package dev.modelkeep.fake

import android.hardware.security.keymint.ErrorCode
import android.hardware.security.keymint.KeyParameter
import android.hardware.security.keymint.KeyParameterValue
import android.hardware.security.keymint.KeyPurpose
import android.hardware.security.keymint.SecurityLevel
import android.hardware.security.keymint.Tag
import android.system.keystore2.CreateOperationResponse
import android.system.keystore2.Domain
import android.system.keystore2.IKeystoreOperation
import android.system.keystore2.IKeystoreSecurityLevel
import android.system.keystore2.KeyDescriptor
import android.system.keystore2.KeyEntryResponse
import android.system.keystore2.KeyMetadata
import android.system.keystore2.KeyParameters
import android.system.keystore2.ResponseCode
import java.lang.reflect.InvocationHandler
import java.lang.reflect.Method
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong

/** The Keystore service of a [FakePhone]: keys that stay inside, and KeyMint's rules for using them. */
internal class FakeKeystore(private val phone: FakePhone) : InvocationHandler {
    private val keys = ConcurrentHashMap<String, KeyMintKey>()
    private val lastId = AtomicLong()
    val keyCount: Int get() = keys.size

    override fun invoke(proxy: Any, method: Method, arguments: Array<out Any?>?): Any? {
        phone.calls += method.name
        return when (method.name) {
            "getSecurityLevel" -> securityLevel(arguments!![0] as Int)
            "getKeyEntry" -> keyEntry(find(arguments!![0] as KeyDescriptor))
            "deleteKey" -> delete(arguments!![0] as KeyDescriptor)
            // The certificate of an imported key, which nobody here asks for.
            "updateSubcomponent" -> Unit
            else -> throw UnsupportedOperationException(method.name)
        }
    }

    private fun securityLevel(level: Int): IKeystoreSecurityLevel {
        if (level == SecurityLevel.STRONGBOX && phone.strongBox == StrongBox.ABSENT) {
            FakePhone.fail(ErrorCode.HARDWARE_TYPE_UNAVAILABLE)
        }
        return FakePhone.proxy { _, method, arguments ->
            phone.calls += method.name
            when (method.name) {
                "generateKey" -> generate(level, arguments!![0] as KeyDescriptor, parameters(arguments[2]))
                "importKey" -> import(level, arguments!![0] as KeyDescriptor, parameters(arguments[2]), arguments[4])
                "createOperation" -> createOperation(find(arguments!![0] as KeyDescriptor), parameters(arguments[1]))
                "deleteKey" -> delete(arguments!![0] as KeyDescriptor)
                else -> throw UnsupportedOperationException(method.name)
            }
        }
    }

    private fun parameters(argument: Any?): List<KeyParameter> =
        (argument as Array<*>).map { it as KeyParameter }

    private fun find(descriptor: KeyDescriptor): KeyMintKey =
        keys.entries.firstOrNull { (alias, key) ->
            if (descriptor.domain == Domain.KEY_ID) key.id == descriptor.nspace else alias == descriptor.alias
        }?.value ?: FakePhone.fail(ResponseCode.KEY_NOT_FOUND)

    private fun delete(descriptor: KeyDescriptor) {
        val key = find(descriptor)
        keys.values.remove(key)
    }

    private fun keyEntry(key: KeyMintKey) = KeyEntryResponse().apply {
        iSecurityLevel = securityLevel(key.securityLevel)
        metadata = key.metadata
    }

    private fun generate(level: Int, descriptor: KeyDescriptor, parameters: List<KeyParameter>): KeyMetadata {
        val place = if (phone.isSecureWorldReal) level else SecurityLevel.SOFTWARE
        val key = KeyMintKey(newId(), place, parameters)
        val isForAgreement = KeyPurpose.AGREE_KEY in key.purposes
        if (level == SecurityLevel.STRONGBOX && isForAgreement && phone.strongBox != StrongBox.COMPLETE) {
            FakePhone.fail(ErrorCode.UNSUPPORTED_PURPOSE)
        }
        keys[descriptor.alias] = key
        return key.metadata
    }

    private fun import(
        level: Int,
        descriptor: KeyDescriptor,
        parameters: List<KeyParameter>,
        pkcs8: Any?,
    ): KeyMetadata {
        val key = KeyMintKey(newId(), level, parameters, pkcs8 as ByteArray)
        keys[descriptor.alias] = key
        return key.metadata
    }

    private fun newId(): Long = lastId.incrementAndGet()

    private fun createOperation(key: KeyMintKey, parameters: List<KeyParameter>): CreateOperationResponse {
        phone.failure?.let(FakePhone::fail)
        val purpose = parameters.first { it.tag == Tag.PURPOSE }.value.keyPurpose
        if (purpose !in key.purposes) FakePhone.fail(ErrorCode.INCOMPATIBLE_PURPOSE)
        phone.checkUser(key)
        val nonce = parameters.firstOrNull { it.tag == Tag.NONCE }?.value?.blob
        if (nonce != null && purpose == KeyPurpose.ENCRYPT && !key.allowsCallerNonce) {
            FakePhone.fail(ErrorCode.CALLER_NONCE_PROHIBITED)
        }
        val operation = if (purpose == KeyPurpose.AGREE_KEY) Agreement(key, phone.isAgreementRight) else Encryption(key, purpose, nonce)
        return CreateOperationResponse().apply {
            iOperation = binder(operation)
            operation.nonce?.let { this.parameters = nonceParameters(it) }
        }
    }

    private fun nonceParameters(nonce: ByteArray) = KeyParameters().apply {
        keyParameter = arrayOf(
            KeyParameter().apply {
                tag = Tag.NONCE
                value = KeyParameterValue.blob(nonce)
            },
        )
    }

    private fun binder(operation: Operation): IKeystoreOperation = FakePhone.proxy { _, method, arguments ->
        phone.calls += method.name
        if (operation.isOver) FakePhone.fail(ErrorCode.INVALID_OPERATION_HANDLE)
        operation.isOver = method.name == "finish" || method.name == "abort"
        when (method.name) {
            "updateAad" -> operation.updateAad(arguments!![0] as ByteArray)
            "update" -> operation.update(arguments!![0] as ByteArray)
            "finish" -> operation.finish(arguments!![0] as ByteArray?)
            "abort" -> Unit
            else -> throw UnsupportedOperationException(method.name)
        }
    }
}
