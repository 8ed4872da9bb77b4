"""The program in the lot office: carries completions from the cloud into the machines that stand there."""
