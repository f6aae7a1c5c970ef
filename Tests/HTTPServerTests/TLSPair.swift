import COpenSSL
import Glibc
import Posix

@testable import HTTPServer

/// A client and the server's transport at the two ends of one socket pair, both moved by one thread.
final class TLSPair {
    private let server: TLSTransport
    private let socket: FileDescriptor
    private let context: OpaquePointer
    private let client: OpaquePointer

    init(_ serverContext: TLSContext) throws {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw SystemError(call: "socketpair") }
        socket = FileDescriptor(owning: ends[1])
        server = TLSTransport(FileDescriptor(owning: ends[0]), serverContext)
        guard let context = SSL_CTX_new(TLS_client_method()), let client = SSL_new(context)
        else { throw ClientError("no TLS") }
        self.context = context
        self.client = client
        SSL_set_fd(client, ends[1])
        for _ in 0..<20 {
            let isDone = SSL_connect(client) == 1
            _ = try turn()
            if isDone && !server.isHandshaking { return }
        }
        throw ClientError("the handshake failed")
    }

    deinit {
        SSL_free(client)
        SSL_CTX_free(context)
    }

    /// What one read of the server's gives; nil where it would wait.
    private func turn() throws -> String? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        switch buffer.withUnsafeMutableBytes({ server.receive(into: $0) }) {
        case .moved(let count): return String(decoding: buffer[..<count], as: UTF8.self)
        case .blocked: return nil
        case .ended, .unencrypted: throw ClientError("the connection ended")
        case .failed(let code): throw ClientError("errno \(code)")
        }
    }

    /// Sends so many records that ask for new keys, all at once.
    func updateKeys(_ count: Int) throws {
        guard let memory = BIO_new(BIO_s_mem()), let wire = SSL_get_rbio(client) else { throw ClientError("no memory") }
        BIO_up_ref(wire)
        SSL_set0_wbio(client, memory)
        for _ in 0..<count {
            guard SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1, SSL_do_handshake(client) == 1 else {
                throw ClientError("no new keys")
            }
        }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let size = BIO_read(memory, &bytes, Int32(bytes.count))
        SSL_set0_wbio(client, wire)
        guard size > 0, Glibc.send(socket.number, bytes, Int(size), Int32(MSG_NOSIGNAL)) == Int(size) else {
            throw ClientError("the socket did not take it all")
        }
    }

    func send(_ text: String) throws {
        guard SSL_write(client, text, Int32(text.utf8.count)) > 0 else { throw ClientError("not sent") }
    }

    /// The turns that it took the server to receive something, and what that was.
    func receive() throws -> (turns: Int, text: String) {
        for turns in 1...1000 {
            if let text = try turn() { return (turns, text) }
        }
        throw ClientError("nothing came")
    }

    /// The reads that it took the server to find that the connection is over.
    func turnsUntilEnd() throws -> Int {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        for turns in 1...1000 {
            switch buffer.withUnsafeMutableBytes({ server.receive(into: $0) }) {
            case .ended, .failed: return turns
            case .moved, .blocked, .unencrypted: continue
            }
        }
        throw ClientError("there was no end")
    }
}
