"""Cells that have tests of their own: they need a guest, a browser, a clock that is set, or many clients at once."""

from tests.bad_input.cells import Covered

LINK = "tests/agent/link"
HOSTILE = f"{LINK}/test_hostile_guest.py"

COVERED = (
    Covered(
        "HTTP",
        "slow sender",
        (
            "tests/api/http/test_graphql_over_http.py::test_a_body_that_never_comes_is_given_up",
            "tests/api/http/test_connections.py::test_a_head_that_does_not_end_is_given_up",
            "tests/api/http/test_connections.py::test_who_says_nothing_is_closed",
        ),
    ),
    Covered(
        "HTTP",
        "endless body",
        ("tests/api/http/test_files.py::test_20_megabytes_go_up_and_down_in_bounded_memory",),
    ),
    Covered(
        "GraphQL",
        "doubling fragments",
        ("tests/api/schema/test_limits.py::test_doubling_fragments_are_measured_in_linear_time",),
    ),
    Covered(
        "Values", "NUL", ("tests/api/http/test_hostile_values.py::test_whatever_is_given_the_answer_is_typed_and_soon",)
    ),
    Covered(
        "Lifecycle",
        "every operation in every state",
        ("tests/api/services/test_every_command_in_every_state.py::test_a_command_does_what_the_table_says",),
    ),
    Covered(
        "Lifecycle",
        "50 identical at once",
        (
            "tests/bad_input/test_races.py::test_fifty_creates_with_one_key_make_one_sandbox",
            "tests/bad_input/test_races.py::test_fifty_pauses_at_once_pause_once",
        ),
    ),
    Covered(
        "Lifecycle",
        "opposite ones racing",
        (
            "tests/bad_input/test_races.py::test_opposite_commands_at_once_end_in_a_state_that_was_asked_for",
            "tests/agent/test_commands.py::test_opposite_commands_at_once_end_with_the_newest",
        ),
    ),
    Covered("Exec", "missing binary", (f"{LINK}/test_process.py::test_what_cannot_be_started_says_why",)),
    Covered(
        "Exec",
        "endless output",
        (
            f"{LINK}/test_process.py::test_unread_output_is_bounded",
            "tests/api/services/test_exec_and_files.py::test_too_much_output_is_cut_and_flagged",
        ),
    ),
    Covered(
        "Exec", "split UTF-8", (f"{LINK}/test_process.py::test_characters_that_are_cut_in_two_arrive_as_they_were_cut",)
    ),
    Covered(
        "Exec",
        "1,000 at once",
        (
            "tests/bad_input/test_races.py::test_a_thousand_commands_at_once_are_all_answered",
            "tests/agent/test_guest_calls.py::test_a_thousand_commands_at_once",
            f"{LINK}/test_process.py::test_too_many_at_once_are_refused_and_the_others_go_on",
        ),
    ),
    Covered(
        "Exec",
        "stdin to one that ended",
        (
            f"{LINK}/test_process.py::test_input_to_one_that_ended_is_dropped",
            f"{LINK}/test_process.py::test_input_to_one_that_closed_it_is_dropped",
        ),
    ),
    *(
        Covered(
            "Files",
            item,
            (
                f"{LINK}/test_files.py::test_what_cannot_be_read_says_why",
                f"{LINK}/test_files.py::test_what_cannot_be_written_says_why",
            ),
        )
        for item in ("4,096-byte name", "symlink loop", "FIFO", "device")
    ),
    Covered("Files", "link to /proc", (f"{LINK}/test_files.py::test_links_into_proc_lead_nowhere_that_blocks",)),
    Covered("Files", "sparse 1 TiB", (f"{LINK}/test_files.py::test_a_sparse_file_of_a_tebibyte_is_not_swallowed",)),
    Covered(
        "Files",
        "disk full in the guest",
        (f"{LINK}/test_files.py::test_a_disk_that_is_full_says_so_and_keeps_nothing",),
    ),
    Covered(
        "WebSocket",
        "no init",
        (
            "tests/api/http/test_websocket.py::test_who_says_nothing_is_closed",
            "tests/api/http/test_websocket.py::test_pings_do_not_put_off_the_deadline",
        ),
    ),
    Covered(
        "WebSocket",
        "a reader that stops",
        ("tests/api/http/test_websocket.py::test_a_client_that_stops_reading_is_dropped",),
    ),
    Covered("gRPC", "no credentials", ("tests/agent/test_access.py::test_nothing_is_done_without_the_token",)),
    Covered("gRPC", "stale generation", ("tests/agent/test_commands.py::test_older_generations_are_refused",)),
    Covered(
        "Guest → host",
        "wrong length",
        (
            f"{HOSTILE}::test_an_impossible_length_ends_the_link",
            f"{HOSTILE}::test_a_frame_that_does_not_fit_ends_the_link",
            f"{HOSTILE}::test_an_exit_of_another_length_is_an_error",
            f"{HOSTILE}::test_more_of_a_file_than_was_asked_for_is_an_error",
        ),
    ),
    Covered("Guest → host", "foreign stream", (f"{HOSTILE}::test_a_foreign_stream_ends_the_link",)),
    Covered(
        "Guest → host",
        "endless frames",
        (
            f"{HOSTILE}::test_data_beyond_the_credit_ends_the_link",
            f"{HOSTILE}::test_a_guest_that_never_reads_is_given_up_before_it_costs_memory",
            f"{HOSTILE}::test_nothing_but_agent_errors_come_of_any_bytes",
        ),
    ),
    Covered(
        "Guest → host",
        "terminal escapes",
        (f"{HOSTILE}::test_a_refusal_cannot_smuggle_codes_or_terminal_escapes",),
    ),
    Covered(
        "Dashboard",
        "HTML and script in every field",
        (
            "tests/browser/test_dashboard.py::test_a_person_lives_with_a_sandbox",
            "tests/browser/test_hostile_texts.py::test_html_and_script_are_shown_as_text_in_every_field",
            "tests/house/test_shown_as_text.py::test_no_page_makes_html_of_a_text",
            "tests/api/http/test_pages.py::test_pages_are_served_under_a_strict_policy",
        ),
    ),
)
