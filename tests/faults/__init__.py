"""What may go wrong around a step: signals, threads, memory, arrays that change; nothing is half done."""
