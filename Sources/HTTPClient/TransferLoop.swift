import CCurl
import CCurlShims
import ClusterModel
import Posix
import Synchronization

/// The client's thread: it owns the curl multi handle and every transfer; others only leave word in the inbox.
final class TransferLoop: Sendable {
    enum Command: Sendable {
        case start(TransferOrder)
        case cancel(UInt64)
        /// The reader of a stream has made room.
        case resume(UInt64)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isStopping = false
        /// Nil once the thread has let go of it.
        var multi: MultiHandle?
    }

    /// `curl_multi_wakeup` is the one call that other threads may make; it is made under the inbox's lock, so that the
    /// handle still exists.
    private struct MultiHandle: @unchecked Sendable {
        // Sendable by hand: see above; all other uses are on the client's thread.
        let pointer: UnsafeMutableRawPointer
    }

    private let inbox: Mutex<Inbox>

    init(name: String) throws(SystemError) {
        _ = globalSetUp
        guard let pointer = curl_multi_init() else { throw SystemError(call: "curl_multi_init") }
        let multi = MultiHandle(pointer: pointer)
        inbox = Mutex(Inbox(multi: multi))
        do throws(SystemError) {
            try NamedThread.start(name) { [self] in run(multi) }
        } catch {
            curl_multi_cleanup(pointer)
            throw error
        }
    }

    /// False when the client is closed.
    @discardableResult
    func post(_ command: Command) -> Bool {
        inbox.withLock { inbox in
            guard !inbox.isStopping, let multi = inbox.multi else { return false }
            inbox.commands.append(command)
            curl_multi_wakeup(multi.pointer)
            return true
        }
    }

    func stop() {
        inbox.withLock { inbox in
            inbox.isStopping = true
            if let multi = inbox.multi { curl_multi_wakeup(multi.pointer) }
        }
    }

    // MARK: The thread

    private func run(_ multi: MultiHandle) {
        var transfers: [UInt64: Transfer] = [:]
        let multi = multi.pointer
        ms_curl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 16)
        while true {
            let (commands, isStopping) = inbox.withLock { inbox in
                defer { inbox.commands = [] }
                return (inbox.commands, inbox.isStopping)
            }
            for command in commands { obey(command, multi, &transfers) }
            if isStopping { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            collect(multi, &transfers)
            let timeout = giveUpSilent(multi, &transfers)
            curl_multi_poll(multi, nil, 0, timeout, nil)
        }
        inbox.withLock { $0.multi = nil }
        for transfer in transfers.values {
            curl_multi_remove_handle(multi, transfer.handle)
            transfer.order.fail(.closed)
        }
        transfers = [:]
        curl_multi_cleanup(multi)
    }

    private func obey(
        _ command: Command, _ multi: UnsafeMutableRawPointer, _ transfers: inout [UInt64: Transfer]
    ) {
        switch command {
        case .start(let order):
            if order.isDecided { return }
            guard let transfer = Transfer(order) else {
                order.fail(.failed("out of memory"))
                return
            }
            transfers[order.id] = transfer
            curl_multi_add_handle(multi, transfer.handle)
        case .cancel(let id):
            guard let transfer = transfers.removeValue(forKey: id) else { return }
            curl_multi_remove_handle(multi, transfer.handle)
            transfer.order.fail(.cancelled)
        case .resume(let id): transfers[id]?.resume()
        }
    }

    private func collect(_ multi: UnsafeMutableRawPointer, _ transfers: inout [UInt64: Transfer]) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            // The message does not outlive the handle's removal.
            let code = message.pointee.data.result
            var context: UnsafeMutableRawPointer?
            ms_curl_getinfo_pointer(handle, CURLINFO_PRIVATE, &context)
            guard let context else { continue }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            curl_multi_remove_handle(multi, handle)
            transfer.finish(code)
            transfers[transfer.order.id] = nil
        }
    }

    /// Ends streams that have been silent for too long; how many milliseconds the thread may wait for something new.
    private func giveUpSilent(_ multi: UnsafeMutableRawPointer, _ transfers: inout [UInt64: Transfer]) -> Int32 {
        let now = BootClock.now()
        var next = now + .seconds(1)
        for (id, transfer) in transfers {
            guard let giveUp = transfer.giveUp else { continue }
            if giveUp <= now {
                transfers[id] = nil
                curl_multi_remove_handle(multi, transfer.handle)
                transfer.order.fail(.timedOut("no data from \(transfer.order.request.url)"))
            } else {
                next = min(next, giveUp)
            }
        }
        return Int32(clamping: (next - now).nanoseconds / 1_000_000 + 1)
    }
}

// curl wants this once per process before anything else.
private let globalSetUp: Bool = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK
