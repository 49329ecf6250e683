package com.example.detector

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.net.HttpURLConnection
import java.net.URL

/** A file on a server; what a broken connection left is continued. What arrives is checked by whoever uses it. */
class Download(private val url: URL, private val target: File) {
    private val partial = File("${target.path}.partial")

    @Throws(IOException::class)
    fun run() {
        target.parentFile!!.mkdirs()
        val connection = url.openConnection() as HttpURLConnection
        try {
            receive(connection)
        } finally {
            connection.disconnect()
        }
        if (!partial.renameTo(target)) throw IOException("cannot rename ${partial.name}")
    }

    private fun receive(connection: HttpURLConnection) {
        if (partial.length() > 0) connection.setRequestProperty("Range", "bytes=${partial.length()}-")
        val isRest = connection.responseCode == HttpURLConnection.HTTP_PARTIAL
        if (!isRest && connection.responseCode != HttpURLConnection.HTTP_OK) {
            partial.delete()
            throw IOException("the server answers ${connection.responseCode}")
        }
        RandomAccessFile(partial, "rw").use { file ->
            if (!isRest) file.setLength(0)
            file.seek(file.length())
            connection.inputStream.use { input -> copy(input.buffered(), file) }
        }
    }

    private fun copy(input: java.io.InputStream, file: RandomAccessFile) {
        val piece = ByteArray(PIECE)
        while (true) {
            val length = input.read(piece)
            if (length < 0) return
            // WorkManager interrupts the thread when the work is stopped.
            if (Thread.interrupted()) throw InterruptedException()
            file.write(piece, 0, length)
        }
    }

    private companion object {
        const val PIECE = 1 shl 16
    }
}
