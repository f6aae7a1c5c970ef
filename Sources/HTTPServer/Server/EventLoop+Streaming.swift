extension EventLoop {
    /// What may wait for a client of a stream; one that is further behind is let go.
    private static let unsentBytesMax = 256 << 10

    /// Starts the task that writes the stream of `response`; false when there are too many already.
    func startStream(_ response: HTTPResponse, _ exchange: Exchange, on connection: Connection) -> Bool {
        guard let stream = response.stream, !isStopping, setup.streamSlots.take() else { return false }
        let mailbox = setup.mailbox
        let slots = setup.streamSlots
        let token = connection.token
        let task = Task {
            await stream.run { bytes in !Task.isCancelled && mailbox.post(.streamed(token, bytes)) }
            slots.giveBack()
            mailbox.post(.streamed(token, nil))
        }
        connection.isStreaming = true
        connection.pending = PendingAnswer(task: task, exchange: exchange)
        return true
    }

    /// More of a stream has come, or its end; the connection may be gone.
    func continueStream(_ token: EventToken, _ bytes: [UInt8]?) {
        guard let connection = table[token], connection.isStreaming else { return }
        if let bytes {
            if connection.unsent.count + bytes.count > EventLoop.unsentBytesMax { return close(connection) }
            outgoing += bytes
        } else {
            connection.pending = nil
            connection.isStreaming = false
        }
        flush(connection)
        settle(connection)
    }
}
