#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the original does wrong, row by row, and the tests which prove that kv
does not.  A test that is named here has to be there."""

import os
import re

import kvtest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)

# The original's fault: file, and some words of the test's name; in tests/crash,
# where names are made, the class.
TABLE = {
    "data is gone when the node ends, however it ends": (
        "integration/test_survival kill_9_of_everything_in_any_mode",
        "integration/test_survival kill_9_of_the_supervisor_in_any_mode",
        "integration/test_survival sigterm_under_load_in_any_mode",
        "integration/test_survival loss_of_shared_memory",
        "integration/test_survival ten_kills_of_everything_in_a_row",
        "crash/test_kill Kill", "crash/test_points Points",
        "crash/test_power Power"),
    "a restart takes 0.7-3.5 s": (
        "integration/test_survival orderly_stop_the_first_answer",
        "integration/test_survival kill_9_of_everything_the_first_answer",
        "crash/test_restart first_get_after_kill_9"),
    "PORT in use: 2.8 s and 40 lines": (
        "integration/test_faults port_in_use_is_refused_with_one_line",
        "integration/test_faults one_port_in_use_among_several",
        "integration/test_faults port_held_by_another_kvd"),
    "a bad PORT: stack traces": (
        "integration/test_faults bad_port_is_one_line",
        "integration/test_faults bad_port_of_a_flag",
        "integration/test_faults port_0_is_a_random_port"),
    "a missing setting raises at start": (
        "integration/test_faults missing_configuration_file",
        "integration/test_faults missing_cookie_file",
        "integration/test_faults check_says_what_is_wrong"),
    "connecting and closing at once ends the node": (
        "integration/test_faults storm_of_connect_and_close",),
    "a burst of connects waits for SYN retries": (
        "integration/test_faults burst_of_connects",),
    "a long line runs as several commands": (
        "integration/test_faults hidden_anywhere_in_a_long_line",
        "integration/test_faults line_over_the_limit_is_one_error",
        "integration/test_badinput oversize_line_is_one_error"),
    "16 pipelined commands wait for a delayed ACK": (
        "integration/test_faults 16_pipelined_line_commands",
        "integration/test_faults 16_pipelined_resp_commands",
        "integration/test_faults pipeline_sent_in_two_segments"),
    "a subscriber that never reads: unbounded queue": (
        "integration/test_faults subscriber_that_never_reads_is_closed",
        "integration/test_faults subscriber_that_stalls_takes_nothing"),
    "a hung subscriber's node freezes the bucket for everyone": (
        "net/test_node_faults hung_node_slows_no_writer",
        "net/test_node_faults hung_node_that_subscribes_here",
        "integration/test_nodes_pressure peer_that_stops_reading"),
    "a bucket's crash loses it, and its subscribers in silence": (
        "integration/test_survival killed_worker_loses_no_acknowledged",
        "integration/test_survival killed_workers_subscriber_is_closed",
        "integration/test_survival four_crashes_in_five_seconds"),
    "NODES is read once; who is down then is never tried again": (
        "net/test_node_faults down_at_start_is_tried_again",
        "integration/test_nodes_setup nobody_there_and_no_such_host"),
    "a hung peer adds 7 s to the start": (
        "net/test_node_faults ports_are_open_before_any_peer",),
    "a lost link is never made again": (
        "net/test_node_faults lost_link_is_made_again",
        "net/test_storm three_hosts_agree_after_a_storm"),
    "while a node joins, buckets are NOT FOUND or lost": (
        "net/test_node_faults create_and_put_while_joining",
        "integration/test_nodes joins_says_that_it_catches_up"),
    "a wrong cookie: nothing is said": (
        "net/test_node_faults wrong_cookie_is_named_on_both_sides",
        "integration/test_nodes_setup wrong_cookie"),
    "the cookie stands in ps": (
        "net/test_node_faults cookie_is_seen_nowhere",
        "integration/test_nodes_setup secret_is_nowhere_to_be_seen",
        "integration/test_secrets no_core_file_would_have_the_cookie",
        "integration/test_secrets kv_cookie_and_kv_passwd_leave_no_core",
        "integration/test_secrets bad_cookie_without_showing_it"),
    "one hung node: every CREATE on every node takes 90 s": (
        "net/test_node_faults hung_node_blocks_no_create",
        "net/test_node_faults create_all_beside_a_hung_node",
        "integration/test_cluster create_all_names_who_is_missing"),
    "a node that is back stays alone with stale data": (
        "net/test_node_faults stopped_rejoins_and_catches_up_each_time",
        "net/test_hosts killed_come_back_and_agree",
        "integration/test_nodes stop_in_order_is_told"),
    "one bucket made on both sides of a split: one copy is lost": (
        "net/test_node_faults both_sides_of_a_split_merges",
        "net/test_hosts both_halves_of_a_split_merge"),
    "one cut link among three isolates all": (
        "net/test_hosts flow_through_the_third_host",
        "net/test_hosts five_hosts_in_a_ring"),
    "CREATE is slower the more nodes and buckets there are": (
        "net/test_node_faults create_costs_no_more_beside_two_nodes",
        "integration/test_faults create_does_not_slow_down"),
    "memory: connections, empty buckets, all data in RAM": (
        "integration/test_faults idle_connection_costs_less_than_a_kilobyte",
        "integration/test_faults empty_bucket_costs_less_than_a_quarter",
        "integration/test_faults data_need_not_fit_into_memory"),
    "stop: clients just see the end": (
        "integration/test_faults sigterm_answers_what_was_asked",
        "integration/test_faults sigterm_does_not_wait"),
    "a call to a dead node raises, to a hung one waits for ever": (
        "net/test_node_faults call_to_a_dead_node_names_it",
        "net/test_node_faults call_to_a_hung_node_ends",
        "integration/test_calls dead_node_is_an_error_at_once"),
}


class Faults(kvtest.Case):
    def test_each_fault_of_the_original_has_its_tests(self):
        for fault, tests in TABLE.items():
            for test in tests:
                file, words = test.split()
                with open(os.path.join(TESTS, file + ".py")) as f:
                    names = re.findall(r"def test_(\w+)|^class (\w+)", f.read(),
                                       re.M)
                self.assertTrue(any(words in n for pair in names for n in pair),
                                f"{fault}: no test {words} in {file}.py")


if __name__ == "__main__":
    kvtest.main()
