"""``python -m saga_project.agent``."""

from saga_project.agent.commands import agent

agent(prog_name="saga agent")
