"""Writes a line of JSON for each task on each host, beside what Ansible shows."""
import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: notification
short_description: a line of JSON for each task on each host
description: For tests, into the file that VIRT_MTU_RECORD names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"

    def _write(self, result, status):
        line = {
            "host": result._host.get_name(),
            "task": result._task.get_name(),
            "status": status,
            "changed": status == "ok" and bool(result._result.get("changed")),
            "result": json.dumps(self._clean(result._result), default=str),
        }
        with open(os.environ["VIRT_MTU_RECORD"], "a") as f:
            f.write(json.dumps(line) + "\n")

    @staticmethod
    def _clean(result):
        return {k: v for k, v in result.items() if not k.startswith("_ansible")}

    def v2_runner_on_ok(self, result):
        self._write(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._write(result, "unreachable")

    def v2_runner_on_skipped(self, result):
        self._write(result, "skipped")
