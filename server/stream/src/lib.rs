//! Sans-I/O streaming: packets, pacing, loss recovery, congestion control, frame clock, input
