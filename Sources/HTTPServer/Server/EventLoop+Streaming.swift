extension EventLoop {
    /// Starts the task that writes the stream of `response`; false when there are too many already.
    func startStream(_ response: HTTPResponse, _ exchange: Exchange, on connection: Connection) -> Bool {
        guard let stream = response.stream, !isStopping, setup.streamSlots.take() else { return false }
        let mailbox = setup.mailbox
        let slots = setup.streamSlots
        let token = connection.token
        let backlog = StreamBacklog()
        let task = Task {
            await stream.run { bytes in
                !Task.isCancelled && backlog.add(bytes.count) && mailbox.post(.streamed(token, bytes))
            }
            slots.giveBack()
            mailbox.post(.streamed(token, nil))
        }
        connection.stream = backlog
        connection.pending = PendingAnswer(task: task, exchange: exchange)
        return true
    }

    /// More of a stream has come, or its end; the connection may be gone.
    func continueStream(_ token: EventToken, _ bytes: [UInt8]?) {
        guard let connection = table[token], let stream = connection.stream else { return }
        if let bytes {
            stream.take(bytes.count)
            if connection.unsent.count + bytes.count > StreamBacklog.bytesMax { return close(connection) }
            outgoing += bytes
        } else {
            connection.pending = nil
            connection.stream = nil
        }
        flush(connection)
        settle(connection)
    }
}
