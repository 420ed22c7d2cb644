import Testing

/// Everything that runs on the team; one test at a time, since the team's size is the whole process's.
@Suite(.serialized) struct RuntimeSuite {}
